"""Makes a dump and keeps it in the cache."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oopslab import build, initramfs
from oopslab.cache import locked, new_directory, root
from oopslab.capture import (
    CAPTURES,
    CRASH_MEMORY,
    UNTOLD,
    by_kdump,
    by_libvirt,
    by_qmp,
    dump_level,
    makedumpfile,
    unpack_snapshot,
)
from oopslab.errors import LabError, LabUnavailable
from oopslab.kernel import Kernel, fetch
from oopslab.kernel import kernel as offered
from oopslab.poke import poke
from oopslab.qemu import Machine
from oopslab.scenario import Scenario, load

_SNAPSHOT_SIZE = 64 << 20  # bytes; the files are sparse
_DUMP_SIZE = 2 << 30
ATTEMPTS = 3
PATIENCE = 200
"""Seconds that every guest is given: a slow or busy machine takes ten times as long as usual."""
_KDUMP_CMDLINE = "console=ttyS0 nr_cpus=1 irqpoll reset_devices rdinit=/init panic=10"


@dataclass(frozen=True)
class LabDump:
    """A dump of the lab with all that belongs to it."""

    directory: Path
    vmcore: Path
    console: Path  # what the guest wrote on its serial port
    truth: dict[str, Any]  # the diagnosis by hand, plus kernel, release, capture
    guest: Path  # /proc files of the guest from just before its end
    vmlinux: Path
    debug_dir: Path  # what /usr/lib/debug would be with the -dbg package installed
    modules_dir: Path  # the scenario's own .ko files, with debug info


def directory(
    name: str,
    kernel: str = "6.1",
    capture: str = "qmp",
    rename: str | None = None,
) -> Path:
    """Where the dump of a scenario is or would be."""
    return _directory(load(name, rename), offered(kernel), capture)


def _directory(scenario: Scenario, kernel: Kernel, capture: str) -> Path:
    if capture not in CAPTURES:
        raise LabError(f"no way of capture {capture!r}: {' or '.join(CAPTURES)}")
    release = kernel.release.removesuffix("-amd64")
    return root() / "dumps" / f"{scenario.name}-{release}-{capture}-{scenario.digest}"


def ensure(
    scenario: str,
    kernel: str = "6.1",
    capture: str = "qmp",
    *,
    rename: str | None = None,
    force: bool = False,
    debug: bool = True,
) -> LabDump:
    """The dump of *scenario*, made now unless it is in the cache.

    :param kernel: the series, one of :data:`oopslab.kernel.SERIES`
    :param capture: one of :data:`CAPTURES`
    :param rename: with this seed, modules and functions get names drawn at random
    :param force: make it again
    :param debug: also provide the kernel's debug symbols
    :raises LabUnavailable: no such kernel is offered, or a tool is missing
    :raises LabError: the guest did not crash as it should have
    """
    described = load(scenario, rename)
    # Where to poke is found with the kernel's symbols.
    pokes = any(action.poke for action in described.settings.actions)
    chosen = fetch(offered(kernel), debug=debug or pokes)
    target = _directory(described, chosen, capture)
    with locked(target):
        if force or not target.exists():
            _make(described, chosen, capture, target)
        truth = _truth(described, chosen, capture)
        path = target / f"{scenario}.truth.json"
        text = json.dumps(truth, indent=2) + "\n"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    return LabDump(
        directory=target,
        vmcore=target / f"{scenario}.vmcore",
        console=target / f"{scenario}.console.log",
        truth=truth,
        guest=target / f"{scenario}.guest",
        vmlinux=chosen.vmlinux,
        debug_dir=chosen.debug_dir,
        modules_dir=target / "modules",
    )


def _make(scenario: Scenario, kernel: Kernel, capture: str, target: Path) -> None:
    """Crash the machine, again if it did not come to it: memory is not laid out alike each time."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with new_directory(target) as work:
                _crash(scenario, kernel, capture, work)
        except LabUnavailable:
            raise
        except LabError as error:
            if attempt == ATTEMPTS:
                raise
            print(f"lab: attempt {attempt}: {str(error).splitlines()[0]}", file=sys.stderr)
        else:
            return


def _crash(scenario: Scenario, kernel: Kernel, capture: str, target: Path) -> None:
    """Fill *target* with the dump and what belongs to it."""
    settings = scenario.settings
    work = target / "work"
    work.mkdir()
    modules = build.modules(scenario, kernel, work / "module")
    level = dump_level(scenario, kernel)
    patience = max(PATIENCE, settings.timeout)
    kdump = capture == "kdump"
    second = initramfs.capture_system(kernel, makedumpfile(level)) if kdump else None
    initrd = work / "initrd.img"
    initrd.write_bytes(initramfs.guest(scenario, kernel, modules, work, second, _KDUMP_CMDLINE))
    disks = [_empty(work / "snapshot.img", _SNAPSHOT_SIZE)]
    if kdump:
        disks.append(_empty(work / "dump.img", _DUMP_SIZE))
    machine = Machine(
        work=work,
        kernel=kernel.vmlinuz,
        initrd=initrd,
        cmdline=_cmdline(scenario, kernel, kdump=kdump),
        memory=settings.memory + (CRASH_MEMORY if kdump else 0),
        cpus=settings.cpus,
        cpu=settings.cpu,
        disks=disks,
        pokable=any(action.poke for action in settings.actions),
        told=capture not in UNTOLD,
    )
    try:
        with machine.running() as guest:
            for action in settings.actions:
                guest.wait_for(action.after, patience)
                if action.execute:
                    guest.monitor.execute(action.execute, **action.arguments)
                if action.poke:
                    poke(guest, work, kernel, scenario.texts[action.poke])
            if kdump:
                vmcore = by_kdump(guest, work, disks[1], patience)
            elif capture in UNTOLD:
                vmcore = by_libvirt(guest, work, UNTOLD[capture], patience, settings.end)
            else:
                vmcore = by_qmp(guest, work, level, patience, settings.end)
    except LabError as error:
        kept = _keep_console(machine.console, scenario.name)
        what = f"{scenario.name} on {kernel.release} ({capture})"
        raise LabError(f"{what}: {error}\n{kept}") from error
    console = machine.console.read_text(errors="replace")
    _check(scenario, console, machine.console)

    vmcore.rename(target / f"{scenario.name}.vmcore")
    (target / f"{scenario.name}.console.log").write_text(console)
    if settings.snapshot:
        unpack_snapshot(disks[0], target / f"{scenario.name}.guest")
    (target / "modules").mkdir()
    for module in modules.values():
        shutil.copy(module, target / "modules")
    shutil.rmtree(work)


def _truth(scenario: Scenario, kernel: Kernel, capture: str) -> dict[str, Any]:
    return {
        **scenario.truth,
        "kernel": kernel.series,
        "release": kernel.release,
        "capture": capture,
        "dump_level": dump_level(scenario, kernel),
        "renamed_by": scenario.seed,
    }


def _cmdline(scenario: Scenario, kernel: Kernel, *, kdump: bool) -> str:
    # An emulated timer may be late enough on a busy host to fail the kernel's check of it.
    words = [
        f"BOOT_IMAGE=/boot/vmlinuz-{kernel.release} ro console=ttyS0,115200 rdinit=/init panic=0",
        "no_timer_check",
        f"crashkernel={CRASH_MEMORY}M" if kdump else "",
        scenario.settings.cmdline,
    ]
    return " ".join(word for word in words if word)


def _empty(path: Path, size: int) -> Path:
    path.touch()
    os.truncate(path, size)
    return path


def _check(scenario: Scenario, console: str, path: Path) -> None:
    """Make sure that the machine died of what the scenario is about."""
    position = 0
    for pattern in scenario.settings.expect:
        match = re.compile(pattern, re.MULTILINE).search(console, position)
        if match is None:
            kept = _keep_console(path, scenario.name)
            raise LabError(f"{scenario.name}: another crash, no {pattern!r} on the console\n{kept}")
        position = match.start()


def _keep_console(console: Path, name: str) -> str:
    """Save the console of a failed attempt where the next one does not remove it."""
    kept = root() / "failed" / f"{name}.console.log"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(console, kept)
    return f"console: {kept}"

"""A crash in a virtual machine, with this host's own capture kernel and initrd.

A first kernel of the host's version boots with as much memory set aside as the host has, loads the
host's own capture kernel, and crashes. The capture kernel sees the host's own disks, whose changes
go to a file that is thrown away. What it says on its console tells whether the dump was written,
and how much memory it used is asked of the kernel itself, once a second, by SysRq.

What this proves: kernel, initrd, programs and memory are enough to write the dump of a small
machine. What it cannot: that the drivers know the host's own hardware, and that the memory is
enough for a RAM of any size; the part that grows with the RAM is estimated and said so.
"""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from oopsight.kdump import devices, estimate
from oopsight.kdump.checks import Host
from oopsight.kdump.cmdline import MiB, crashkernel
from oopsight.kdump.distros import CaptureSystem
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.machine import mount_of
from oopsight.kdump.rehearse import first, machine, memory
from oopsight.kdump.rehearse.machine import Disk
from oopsight.kdump.target import Kind

# The first kernel's own memory beside what it sets aside: it holds two kernels and their initrds.
FIRST = 768 * MiB
TIMEOUT = {"kvm": 300.0, "tcg": 1200.0}
SAMPLE = 1.0  # seconds between two questions about memory
SILENCE = 90.0  # seconds after which a machine that says nothing is given up
LINGER = 5.0  # seconds in which the console may say what it still has to
CONSOLE = "console=ttyS0,115200"
SAVED = re.compile(r"saved vmcore in|saving vmcore complete|The dumpfile is saved to (?!STDOUT)")
NOT_SAVED = re.compile(
    r"failed to save vmcore[^\n]*|saving vmcore failed[^\n]*|makedumpfile [Ff]ailed[^\n]*"
    r"|You are in emergency mode|Entering emergency mode[^\n]*|Gave up waiting for[^\n]*"
    r"|ALERT! +\S+ does not exist[^\n]*|Kernel panic - not syncing[^\n]*"
)
CAPTURE_BEGINS = "elfcorehdr="


class Outcome(str, enum.Enum):
    """How the rehearsal went."""

    SAVED = "saved"
    TIGHT = "saved, but memory ran short"
    NO_MEMORY = "out of memory"
    NOT_RESERVED = "not reserved"
    NOT_LOADED = "not loaded"
    FAILED = "failed"
    NO_END = "no end"


@dataclass(frozen=True)
class Rehearsal:
    """What was seen. Sizes are in bytes, ``seconds`` from the crash to the end.

    ``used`` is the most memory that the capture kernel had in use, as far as it was asked;
    ``needed`` is that and what the host's RAM needs beyond the rehearsed one, an estimate.
    """

    outcome: Outcome
    message: str
    reserved: int
    used: int | None
    needed: int | None
    seconds: float
    console: str

    @property
    def suffices(self) -> bool:
        """Whether the host may count on its dump: written, and with room for its whole RAM."""
        return self.outcome is Outcome.SAVED and (
            self.needed is None or self.needed <= self.reserved
        )


def rehearse(
    host: Host,
    *,
    reserved: int | None = None,
    disks: tuple[Path, ...] = (),
    accelerator: str | None = None,
    timeout: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Rehearsal:
    """Carry out a rehearsal.

    :param reserved: bytes set aside instead of what the host has
    :param disks: images instead of the host's own disks, which a tree needs
    :param accelerator: ``kvm`` or ``tcg``; by itself what works
    :param tell: is called with each step
    :raises KdumpError: it cannot be carried out, and why
    """
    machine.program()
    kernel = host.machine.kernel or _only_kernel(host)
    line = _running_line(host)
    amount = reserved or host.machine.reserved or _configured(host, line)
    if not amount:
        raise KdumpError("no memory is reserved nor configured: give --memory SIZE", 2)
    target = host.distro.target(host.root)
    if target.kind not in {Kind.PATH, Kind.DEVICE}:
        raise KdumpError(f"a rehearsal writes to a disk, and the target is {target}", 2)
    capture = host.distro.capture_system(host.root, kernel, line)
    ours = tuple(Disk(path) for path in disks) or _own_disks(host)
    chosen = accelerator or machine.accelerator()
    plan = machine.Plan(
        kernel=host.root.locate(_first_kernel(host, kernel, capture)),
        initrd=first.initrd(host.root, capture, _capture_line(capture)),
        command_line=f"{CONSOLE} panic=1 crashkernel={amount // MiB}M",
        memory=amount // MiB * MiB + FIRST,
        disks=ours,
        accelerator=chosen,
    )
    tell(f"kernel {kernel}, {amount // MiB} MiB for the capture kernel, by {chosen}")
    tell(f"capture kernel {capture.kernel}, {capture.initrd}")
    seen = _run(plan, timeout, tell)
    if chosen == "kvm" and accelerator is None and not seen.console:
        # Some virtual machines offer KVM, and it does not work.
        tell("by kvm it does not say a word; once more by software emulation")
        seen = _run(replace(plan, accelerator="tcg"), timeout, tell)
    return _judge(seen, amount // MiB * MiB, host.machine.ram)


def _run(plan: machine.Plan, timeout: float | None, tell: Callable[[str], None]) -> _Seen:
    with machine.running(plan) as running:
        return _watch(running, timeout or TIMEOUT[plan.accelerator], tell)


@dataclass
class _Seen:
    console: str = ""
    crashed: float | None = None
    ended: float = 0.0
    by_itself: bool = False


def _watch(running: machine.Machine, timeout: float, tell: Callable[[str], None]) -> _Seen:
    """Follow the machine until its dump is written, or is known not to be."""
    seen = _Seen()
    started = time.monotonic()
    asked = started
    while (now := time.monotonic()) < started + timeout:
        seen.console = running.console
        if not running.is_running:
            seen.by_itself = True
            break
        if not seen.console and now > started + SILENCE:
            break
        capture = _capture_part(seen.console)
        if seen.crashed is None and first.LOADED in seen.console:
            seen.crashed = now
            tell("the first kernel crashes")
        if SAVED.search(capture) or _over(capture):
            # The end of the line, and a last look at the memory.
            running.ask_for_memory()
            time.sleep(min(LINGER, timeout))
            break
        if capture and now - asked >= SAMPLE:
            running.ask_for_memory()
            asked = now
        time.sleep(machine.STEP)
    seen.console = running.console
    seen.ended = time.monotonic()
    return seen


def _over(capture: str) -> bool:
    """Whether nothing good can come any more."""
    return bool(NOT_SAVED.search(capture)) and "falling back" not in capture


def _judge(seen: _Seen, reserved: int, ram: int | None) -> Rehearsal:
    capture = _capture_part(seen.console)
    managed = [sample.managed for sample in memory.samples(capture)]
    peak = memory.peak(capture)
    # What the kernel does not manage, its own image above all, is used from the beginning.
    used = None if peak is None else peak + max(reserved - max(managed), 0)
    needed = None if used is None else used + estimate.ram_part(ram or 0) - estimate.ram_part(FIRST)
    outcome, message = _outcome(seen, capture)
    seconds = seen.ended - seen.crashed if seen.crashed else 0.0
    return Rehearsal(outcome, message, reserved, used, needed, seconds, seen.console)


def _outcome(seen: _Seen, capture: str) -> tuple[Outcome, str]:
    shortage = memory.shortage(capture)
    if match := SAVED.search(capture):
        line = capture[match.start() :].splitlines()[0].strip()
        if shortage:
            return Outcome.TIGHT, f"{line}, but before that: {shortage}"
        return Outcome.SAVED, line
    if "crashkernel reservation failed" in seen.console or "Memory for crashkernel" in seen.console:
        return Outcome.NOT_RESERVED, "the first kernel found no place for so much memory"
    if first.NOT_LOADED in seen.console:
        reason = seen.console.split(first.NOT_LOADED)[0].strip().splitlines()[-1:]
        return Outcome.NOT_LOADED, reason[0].strip() if reason else "kexec says no reason"
    if shortage:
        return Outcome.NO_MEMORY, shortage
    if match := NOT_SAVED.search(capture):
        return Outcome.FAILED, match[0].strip()
    last = [text for text in seen.console.splitlines() if text.strip()][-1:]
    if not seen.by_itself:
        return Outcome.NO_END, f"the time is over; its last words: {last[0] if last else 'none'}"
    if seen.crashed and not capture:
        # Too little memory even for the kernel to reach its first message.
        return Outcome.NO_MEMORY, "the capture kernel ended before it said a word"
    return Outcome.FAILED, f"it ended without a dump; its last words: {last[0] if last else 'none'}"


def _capture_part(console: str) -> str:
    """What the capture kernel said: all after its command line, or after the crash."""
    place = console.find(CAPTURE_BEGINS)
    if place < 0:
        place = console.find("sysrq: Trigger a crash")
        place = console.find("Linux version", place) if place >= 0 else -1
    return console[place:] if place >= 0 else ""


def _capture_line(capture: CaptureSystem) -> str:
    """The capture kernel's own command line, and a console that is heard and answers."""
    return f"{capture.command_line} {CONSOLE} sysrq_always_enabled loglevel=6"


def _running_line(host: Host) -> str:
    lines = [host.machine.cmdline, *host.distro.boot_lines(host.root).values()]
    return next((line.strip() for line in lines if line and line.strip()), "")


def _configured(host: Host, line: str) -> int | None:
    asked = crashkernel(line, host.machine.ram or 0)
    return asked.reserved if asked else None


def _only_kernel(host: Host) -> str:
    """The newest kernel that has a capture initrd; a tree without /proc does not say which runs."""
    names = [path.rsplit("/", 1)[1] for path in host.root.glob("/lib/modules/*")]
    names = [name for name in names if host.distro.capture_initrd(host.root, name)]
    if not names:
        raise KdumpError("no kernel here has a capture initrd: see kdump status")
    return max(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])


def _first_kernel(host: Host, kernel: str, capture: CaptureSystem) -> str:
    path = f"/boot/vmlinuz-{kernel}"
    return path if host.root.exists(path) else capture.kernel


def _own_disks(host: Host) -> tuple[Disk, ...]:
    """The disks of the host that its capture environment mounts.

    :raises KdumpError: none is found, or QEMU has no device for one's driver
    """
    if not host.root.is_live:
        raise KdumpError("a tree has no disks of its own: give --disk IMAGE", 2)
    target = host.distro.target(host.root)
    if host.distro.captures_in_root:
        # It mounts all that /etc/fstab names, and waits for what is not there.
        sources = [mount.source for mount in host.machine.mounts]
    else:
        mount = mount_of(host.machine, target.path) if target.kind is Kind.PATH else None
        sources = [mount.source] if mount else []
    if target.kind is Kind.DEVICE:
        sources.append(target.where)
    names = {name for source in sources if (name := devices.block_name(host.root, source))}
    whole = {disk for name in names for disk in devices.whole_disks(host.root, name)}
    found = []
    for name in sorted(whole):
        drivers = devices.drivers(host.root, f"/sys/class/block/{name}")
        driver = next((driver for driver in drivers if driver in machine.DISKS), None)
        if driver is None:
            raise KdumpError(
                f"QEMU has no device for {name}, which is driven by {', '.join(drivers)}; a copy of"
                " the disk can be rehearsed with --disk IMAGE if its initrd has virtio_blk"
            )
        found.append(Disk(Path("/dev") / name, driver))
    if not found:
        raise KdumpError("the host's disks were not found in /sys: give --disk IMAGE")
    return tuple(found)

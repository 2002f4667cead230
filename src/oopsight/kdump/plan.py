"""What setup would change, worked out without changing anything."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from oopsight.kdump import collect, need
from oopsight.kdump.checks import Host
from oopsight.kdump.cmdline import MiB, size
from oopsight.kdump.distros import Command, Wanted
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.target import Kind, Target

SYSCTL = "/etc/sysctl.d/90-oopsight-kdump.conf"
SYSCTL_TEXT = """\
# An oops leaves the kernel damaged: panic, so that there is a dump of it.
kernel.panic_on_oops = 1
# If the capture kernel cannot start, do not stand still for ever.
kernel.panic = 10
"""
# Not for virtual machines: one that its host does not run for a while looks stuck, and is not.
LOCKUP_TEXT = """\
# A CPU stuck in the kernel does not come back: dump it.
kernel.softlockup_panic = 1
"""


@dataclass(frozen=True)
class Change:
    """A file with its old text (``None``: it does not exist) and the text it is to have."""

    path: str
    old: str | None
    new: str

    def diff(self) -> str:
        """The change as a unified diff."""
        lines = difflib.unified_diff(
            (self.old or "").splitlines(keepends=True),
            self.new.splitlines(keepends=True),
            self.path if self.old is not None else "/dev/null",
            self.path,
        )
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


@dataclass(frozen=True)
class Plan:
    """Packages to install, files to change, programs to run afterwards."""

    packages: tuple[str, ...]
    changes: tuple[Change, ...]
    commands: tuple[Command, ...]
    crashkernel: str

    @property
    def is_empty(self) -> bool:
        """Whether the host is as wanted."""
        return not (self.packages or self.changes or self.commands)


def make(host: Host, target: Target | None = None, memory: str = "auto") -> Plan:
    """Work out the plan.

    :param memory: ``auto`` or a size such as ``512M``
    :raises KdumpError: the size cannot be read, or is more than half of the RAM
    """
    distro, root = host.distro, host.root
    wanted = Wanted(_crashkernel(host, memory), target or distro.target(root))
    units = collect.units(wanted.target)
    sysctl = SYSCTL_TEXT + ("" if host.machine.virtual else LOCKUP_TEXT)
    texts = {**distro.edits(root, wanted), SYSCTL: sysctl, **units}
    changes = []
    for path, new in sorted(texts.items()):
        old = root.read(path)
        if old != new:
            changes.append(Change(path, old, new))
    missing = () if distro.unit_installed(root) else distro.packages
    stale = not distro.unit_enabled(root) or any(
        f"crashkernel={wanted.crashkernel.split(' ', 1)[0]}" not in line.split()
        for line in distro.boot_lines(root).values()
    )
    commands = distro.commands(root) if changes or missing or stale else ()
    if wanted.target.kind is Kind.PATH and not missing and not root.exists(wanted.target.path):
        commands = (Command(("mkdir", "-p", "-m", "700", wanted.target.path)), *commands)
    return Plan(missing, tuple(changes), commands, wanted.crashkernel)


def _crashkernel(host: Host, memory: str) -> str:
    ram = host.machine.ram
    if memory != "auto":
        amount = size(memory)
        if amount is None or amount < 32 * MiB:
            raise KdumpError(f"{memory!r} is no size for the capture kernel; give auto or 512M", 2)
    elif ram is None:
        raise KdumpError("the RAM cannot be read from /proc/meminfo; give --memory SIZE", 2)
    else:
        amount = need.of(host).size
    if ram is not None and amount > ram // 2:
        raise KdumpError(
            f"{amount >> 20} MiB for the capture kernel is more than half of {ram >> 20} MiB of RAM"
        )
    return f"{amount >> 20}M"

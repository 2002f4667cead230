"""What the machine is, as far as it decides about a dump, from ``/proc`` and ``/sys``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from oopsight.kdump.host import Root


@dataclass(frozen=True)
class Mount:
    """A mounted file system; ``source`` is what ``/proc/mounts`` names, a device or a server."""

    source: str
    place: str
    kind: str
    read_only: bool


@dataclass(frozen=True)
class Machine:
    """The running machine. Sizes are bytes; ``None`` means that it could not be read."""

    kernel: str
    cmdline: str | None
    ram: int | None
    cpus: int
    reserved: int | None
    loaded: bool | None
    mounts: tuple[Mount, ...]
    block_devices: int
    virtual: bool


def read(root: Root) -> Machine:
    """Read the machine's state."""
    meminfo = re.search(r"^MemTotal:\s+(\d+) kB", root.read("/proc/meminfo") or "", re.MULTILINE)
    reserved = reserved_memory(root)
    loaded = root.read_int("/sys/kernel/kexec_crash_loaded")
    return Machine(
        kernel=(root.read("/proc/sys/kernel/osrelease") or "").strip(),
        cmdline=root.read("/proc/cmdline"),
        # MemTotal leaves out what is reserved; the ranges of crashkernel= mean all of it.
        ram=int(meminfo[1]) * 1024 + (reserved or 0) if meminfo else None,
        cpus=len(re.findall(r"^processor\s*:", root.read("/proc/cpuinfo") or "", re.MULTILINE))
        or 1,
        reserved=reserved,
        loaded=None if loaded is None else bool(loaded),
        mounts=tuple(_mounts(root.read("/proc/mounts") or "")),
        block_devices=len(root.glob("/sys/block/*")),
        virtual=_is_virtual(root),
    )


def _is_virtual(root: Root) -> bool:
    """Whether a hypervisor runs it: x86 has a CPU flag for it, others a hint in the firmware."""
    flags = re.search(r"^flags\s*:.*\bhypervisor\b", root.read("/proc/cpuinfo") or "", re.MULTILINE)
    return flags is not None or root.exists("/sys/hypervisor/type")


def reserved_memory(root: Root) -> int | None:
    """Return the bytes really reserved; the sum of ``/proc/iomem``, which counts the low part too.

    A reader without privileges sees all addresses there as 0; then the size in ``/sys`` counts,
    which is the high part alone.
    """
    total = 0
    for start, end in re.findall(
        r"^\s*([0-9a-f]+)-([0-9a-f]+) : Crash kernel", root.read("/proc/iomem") or "", re.MULTILINE
    ):
        if int(end, 16):
            total += int(end, 16) - int(start, 16) + 1
    return total or root.read_int("/sys/kernel/kexec_crash_size")


def mount_of(machine: Machine, path: str) -> Mount | None:
    """Return the file system on which a path lies; the last on a place hides the others."""
    best = None
    for mount in machine.mounts:
        inside = path == mount.place or path.startswith(mount.place.rstrip("/") + "/")
        if inside and (best is None or len(mount.place) >= len(best.place)):
            best = mount
    return best


def _mounts(text: str) -> list[Mount]:
    mounts = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4:
            place = words[1].replace("\\040", " ")
            mounts.append(Mount(words[0], place, words[2], "ro" in words[3].split(",")))
    return mounts

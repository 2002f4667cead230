"""The ways to a dump: from outside through QEMU's monitor, or by the crashed kernel's kdump.

From outside there are three. ``qmp`` filters what QEMU has written as makedumpfile does it on a
host; ``libvirt`` and ``libvirt-kdump`` leave it as it is, as ``virsh dump --memory-only`` and its
``--format kdump-zlib`` do, of a guest that has not told its hypervisor of VMCOREINFO.
"""

from __future__ import annotations

import struct
import tarfile
from pathlib import Path

from oopslab.command import run
from oopslab.errors import LabError
from oopslab.kernel import Kernel
from oopslab.qemu import Guest
from oopslab.scenario import Scenario

CAPTURES = ("qmp", "kdump", "libvirt", "libvirt-kdump")
UNTOLD = {"libvirt": "elf", "libvirt-kdump": "kdump-zlib"}
"""QEMU's format of the dumps that it writes of a guest it knows nothing of."""

# Elf64_Ehdr from e_phoff to e_shstrndx: phoff shoff flags ehsize phentsize phnum shentsize ...
_ELF_HEADER_SIZE = 64
_PROGRAM_HEADERS = struct.Struct("<QQIHHHHHH")
_PROGRAM_HEADERS_AT = 32
# Reserved for the capture kernel, MiB. It comes on top of the scenario's memory.
CRASH_MEMORY = 160


def dump_level(scenario: Scenario, kernel: Kernel) -> int:
    """How much makedumpfile leaves out.

    From 6.10 on PG_slab is a page type, and makedumpfile before 1.7.6 drops slab pages as if they
    were user pages; zero pages are all that may go there.
    """
    if scenario.settings.dump_level is not None:
        return scenario.settings.dump_level
    return 31 if kernel.version < (6, 10) else 1


def makedumpfile(level: int) -> list[str]:
    """The filtering command, without its files."""
    return ["makedumpfile", "-l", "-d", str(level)]


def by_qmp(guest: Guest, work: Path, level: int, timeout: float, end: str) -> Path:
    """Wait for the panic, have QEMU write the memory, and filter it."""
    guest.wait_for(end, timeout)
    guest.monitor.execute("stop")
    raw = work / "memory.elf"
    guest.monitor.execute("dump-guest-memory", paging=False, protocol=f"file:{raw}")
    guest.monitor.execute("quit")
    _mend_elf_header(raw)
    vmcore = work / "vmcore"
    run([*makedumpfile(level), raw, vmcore])
    raw.unlink()
    return vmcore


def by_libvirt(guest: Guest, work: Path, kind: str, timeout: float, end: str) -> Path:
    """Wait for the panic and have QEMU write the memory, all of it.

    :param kind: one of :data:`UNTOLD`'s formats
    """
    guest.wait_for(end, timeout)
    guest.monitor.execute("stop")
    raw, vmcore = work / "memory", work / "vmcore"
    target = f"file:{raw}"
    guest.monitor.execute("dump-guest-memory", paging=False, protocol=target, format=kind)
    guest.monitor.execute("quit")
    run(["cp", "--sparse=always", raw, vmcore])
    raw.unlink()
    return vmcore


def _mend_elf_header(path: Path) -> None:
    """Lay QEMU's ELF header out as makedumpfile expects it.

    QEMU 7.2 gives 8 as the header's size and puts section headers before the program headers,
    which makedumpfile looks for straight after the ELF header.
    """
    with path.open("r+b") as file:
        file.seek(_PROGRAM_HEADERS_AT)
        phoff, _, flags, _, phentsize, phnum, shentsize, _, _ = _PROGRAM_HEADERS.unpack(
            file.read(_PROGRAM_HEADERS.size),
        )
        file.seek(phoff)
        headers = file.read(phentsize * phnum)
        file.seek(_PROGRAM_HEADERS_AT)
        size = _ELF_HEADER_SIZE
        file.write(_PROGRAM_HEADERS.pack(size, 0, flags, size, phentsize, phnum, shentsize, 0, 0))
        file.write(headers)


def by_kdump(guest: Guest, work: Path, disk: Path, timeout: float) -> Path:
    """Wait until the capture kernel has written the dump and switched the machine off.

    It has come as a stream, in makedumpfile's "flattened" format, and is put in order here.
    """
    guest.wait_for(None, timeout)
    vmcore = work / "vmcore"
    try:
        with disk.open("rb") as flattened:
            run(["makedumpfile", "-R", vmcore], stdin=flattened)
    except LabError as error:
        last = "\n".join(guest.text().splitlines()[-12:])
        raise LabError(f"the capture kernel left no dump: {error}\n{last}") from error
    return vmcore


def unpack_snapshot(disk: Path, target: Path) -> None:
    """Unpack the files of /proc that the guest saved just before its end."""
    target.mkdir()
    count = 0
    try:
        with tarfile.open(disk) as archive:
            for member in archive:
                path = target / member.name
                if not path.resolve().is_relative_to(target.resolve()) or not member.isfile():
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                path.write_bytes(content.read() if content else b"")
                count += 1
    except tarfile.TarError as error:
        raise LabError(f"the guest's /proc files cannot be read: {error}") from error
    if not count:
        raise LabError("the guest saved no /proc files")

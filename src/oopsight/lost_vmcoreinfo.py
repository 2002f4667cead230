"""VMCOREINFO of a dump that came without it, found in the machine's memory.

Who dumps a guest from outside has the note only where the guest told it (QEMU's ``vmcoreinfo``
device with the guest's ``qemu_fw_cfg``). The kernel keeps it in its memory all the same: in a page
of its own, once as text and once as an ELF note, from where kdump would take it
(kernel/vmcore_info.c, before Linux 6.9 crash_core.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from oopsight import engine
from oopsight.cheap import replace
from oopsight.dump import DumpInfo, VmcoreInfo

_PAGE = 4096
_CHUNK = 1 << 20
_BEGINS = b"OSRELEASE="
_IN_PAGE = (0, 24)
"""Where the text begins in its page: by itself, and behind the head and the name of a note."""
# As much as drgn asks for, before it reads physical memory alone.
_NOTHING = (
    b"OSRELEASE=6.0.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff81000000\nKERNELOFFSET=0\n"
)
_LINUX, _RELEASE, _FIELD = b"Linux\0", 2 * 65, 65  # struct new_utsname

_UNTOLD = (0, 4)
"""Where the names are in ``struct uts_namespace``: kernels as old as 5.10 do not tell."""

Ranges = Iterable[tuple[int, int]]
"""Physical addresses, and bytes from there on."""
Read = Callable[[int, int], bytes | None]
"""Reads physical memory: address and size to bytes, or ``None`` where any of it is missing."""


def with_vmcoreinfo(info: DumpInfo) -> DumpInfo:
    """A dump without the note as one with the note that its memory holds.

    :return: *info* itself where it has one, or where none is found
    """
    if info.vmcoreinfo or info.machine != "x86_64":
        return info
    try:
        prog = program(replace(info, vmcoreinfo=VmcoreInfo(_NOTHING), recovered=True))
        prog.set_core_dump(info.path)
    except Exception:  # noqa: BLE001  # libkdumpfile's errors are of the base class
        return info  # which will be said when it is opened
    found = search(_reader(prog), info.memory)
    return info if found is None else replace(info, vmcoreinfo=found, recovered=True)


def program(info: DumpInfo, *, small: bool = False) -> Any:
    """A ``drgn.Program`` that is told what the file itself does not say.

    :param small: the symbols are known to be few
    """
    drgn = engine.load(small=small)
    given: dict[str, Any] = {}
    if info.recovered:
        given["vmcoreinfo"] = info.vmcoreinfo.raw
    if info.machine == "x86_64" and info.format != "elf":
        # QEMU leaves out of the header by what libkdumpfile would know the machine.
        given["platform"] = drgn.Platform(drgn.Architecture.X86_64)
    return drgn.Program(**given)


def search(read: Read, memory: Ranges) -> VmcoreInfo | None:
    """The note of the kernel that ran, among those that memory holds.

    A capture kernel, or one that ran before, may have left others: only of the kernel that ran is
    its own image where the note says.

    :param memory: of the machine
    """
    seen: set[bytes] = set()
    for raw in _candidates(read, memory):
        if raw in seen:
            continue
        seen.add(raw)
        found = VmcoreInfo(raw)
        if _is_of(found, read):
            return found
    return None


def _candidates(read: Read, memory: Ranges) -> Iterator[bytes]:
    for start, data in _pieces(read, memory):
        at = data.find(_BEGINS)
        while at >= 0:
            if at % _PAGE in _IN_PAGE:
                page = at - at % _PAGE
                # The note may end in the next page.
                rest = data[at : page + _PAGE] + (read(start + page + _PAGE, _PAGE) or b"")
                yield rest[:_PAGE].partition(b"\0")[0]
            at = data.find(_BEGINS, at + 1)


def _pieces(read: Read, memory: Ranges) -> Iterator[tuple[int, bytes]]:
    """The memory that is there, with its physical addresses, in pieces that begin with a page."""
    for first, length in memory:
        end = first + length
        for start in range(first & -_PAGE, end, _CHUNK):
            size = min(_CHUNK, end - start)
            data = read(start, size)
            if data is not None:
                yield start, data
                continue
            for page in range(start, start + size, _PAGE):
                data = read(page, _PAGE)
                if data is not None:
                    yield page, data


def _is_of(found: VmcoreInfo, read: Read) -> bool:
    """Whether the kernel's own name and release are where a note says."""
    names = found.symbol("init_uts_ns")
    physical = found.image_physical(names) if names is not None else None
    if physical is None or found.get("PAGESIZE") != str(_PAGE):
        return False
    told = found.get("OFFSET(uts_namespace.name)", "")
    release = found.get("OSRELEASE", "").encode()
    for offset in [int(told)] if told.isdigit() else _UNTOLD:
        data = read(physical + offset, _RELEASE + _FIELD) or b""
        if data.startswith(_LINUX) and data[_RELEASE:].partition(b"\0")[0] == release:
            return True
    return False


def _reader(prog: Any) -> Read:
    from drgn import FaultError

    def read(address: int, size: int) -> bytes | None:
        try:
            data: bytes = prog.read(address, size, physical=True)
        except (FaultError, OverflowError):
            return None
        return data

    return read

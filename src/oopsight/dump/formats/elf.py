"""ELF vmcores: ``/proc/vmcore`` itself, ``makedumpfile -E``, QEMU's dump-guest-memory."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from oopsight.dump.elf import MAGIC, PT_LOAD, ElfFile, MalformedElfError
from oopsight.dump.info import DumpInfo, VmcoreInfo
from oopsight.errors import DamagedDumpError, NotADumpError

_ET_CORE = 4


def matches(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is an ELF file."""
    return head.startswith(MAGIC)


def read(file: BinaryIO, path: Path) -> DumpInfo:
    """Read the headers.

    :raises NotADumpError: if the ELF file is a program, library or vmlinux
    :raises DamagedDumpError: if the headers are cut off
    """
    size = path.stat().st_size
    kind = int.from_bytes(file.read(18)[16:18], "little")
    file.seek(0)
    try:
        elf = ElfFile(file)
        segments = elf.segments()
        vmcoreinfo = b""
        for note in elf.notes():
            if note.name == b"VMCOREINFO":
                vmcoreinfo = note.data.rstrip(b"\0")
    except MalformedElfError as error:
        raise DamagedDumpError(f"{path}: {error}; copy the dump again from its host") from None
    if kind not in (_ET_CORE, _ET_CORE << 8):
        raise NotADumpError(
            f"{path} is an ELF file, but no core dump; give the vmcore here, "
            "and a vmlinux with --vmlinux"
        )
    problems = []
    memory = [s for s in segments if s.type == PT_LOAD and s.file_size]
    end = max((s.offset + s.file_size for s in memory), default=0)
    if not end:
        problems.append("it holds no memory at all")
    elif size and end > size:  # /proc/vmcore may report size 0
        problems.append(f"it is cut off: {size} of {end} bytes are there")
    return DumpInfo(
        path=path,
        format="elf",
        size=size,
        machine=elf.machine,
        vmcoreinfo=VmcoreInfo(vmcoreinfo),
        memory=tuple((s.physical, min(s.file_size, size)) for s in memory),
        problems=tuple(problems),
    )

"""The raw ELF notes of a dump: registers of the CPUs, VMCOREINFO."""

from __future__ import annotations

import struct

from oopsight.dump.elf import PT_NOTE, ElfFile
from oopsight.dump.formats import kdump_compressed
from oopsight.dump.formats.kdump_flattened import Flattened
from oopsight.dump.info import DumpInfo

_MOST = 16 << 20


def raw_notes(info: DumpInfo) -> bytes:
    """Notes as they stand in the file; empty where it has none.

    :raises OSError: if the file cannot be read
    :raises MalformedElfError: if it is no ELF file after all
    """
    with info.path.open("rb") as file:
        if info.format == "elf":
            segments = [s for s in ElfFile(file).segments() if s.type == PT_NOTE]
            notes = b""
            for segment in segments:
                file.seek(segment.offset)
                notes += file.read(min(segment.file_size, _MOST))
            return notes
        source = Flattened(file) if info.format == "kdump-flattened" else file
        source.seek(0)
        block_size = kdump_compressed.block_size(source.read(kdump_compressed.HEADER_SIZE))
        source.seek(block_size)
        sub_header = source.read(kdump_compressed.SUB_HEADER_SIZE)
        offset, size = struct.unpack_from("<qQ", sub_header, 48)
        source.seek(max(offset, 0))
        return source.read(min(size, _MOST)) if offset > 0 else b""


def vmcoreinfo_note(data: bytes) -> bytes:
    r"""VMCOREINFO as the ELF note that a dump of kdump has.

    >>> vmcoreinfo_note(b"PAGESIZE")[:12].hex(), vmcoreinfo_note(b"PAGESIZE")[12:]
    ('0b0000000800000000000000', b'VMCOREINFO\x00\x00PAGESIZE')
    """
    name = b"VMCOREINFO\0"
    head = struct.pack("<III", len(name), len(data), 0)
    return head + b"".join(part.ljust(-(-len(part) // 4) * 4, b"\0") for part in (name, data))

"""Dump and symbol files of a few hundred bytes, header by header."""

from __future__ import annotations

import struct

VMCOREINFO = b"OSRELEASE=6.1.0-9-amd64\nBUILD-ID=00AABB\nKERNELOFFSET=1c000000\nCRASHTIME=17\n"
BLOCK = 4096


def note(name: bytes, kind: int, data: bytes, order: str = "<") -> bytes:
    """One ELF note, padded."""

    def padded(field: bytes) -> bytes:
        return field + b"\0" * (-len(field) % 4)

    name += b"\0"
    return struct.pack(order + "III", len(name), len(data), kind) + padded(name) + padded(data)


def elf(
    notes: bytes, memory: bytes = b"", *, kind: int = 4, machine: int = 62, order: str = "<"
) -> bytes:
    """An ELF file with one PT_NOTE and one PT_LOAD segment."""
    ident = b"\x7fELF" + bytes([2, 2 if order == ">" else 1, 1]) + b"\0" * 9
    header = struct.pack(
        order + "HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0
    )
    at = 64 + 2 * 56
    segments = struct.pack(order + "IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 4)
    segments += struct.pack(
        order + "IIQQQQQQ", 1, 0, at + len(notes), 0, 0, len(memory), len(memory), 4
    )
    return ident + header + segments + notes + memory


def vmlinux(build_id: bytes) -> bytes:
    """An executable with a build ID and nothing else."""
    return elf(note(b"GNU", 3, build_id), kind=2)


def kdump(
    *,
    status: int = 0x20,
    split: int = 0,
    block_size: int = BLOCK,
    sub_blocks: int = 1,
    vmcoreinfo: bytes = VMCOREINFO,
    pages: int = 3,
) -> bytes:
    """A kdump-compressed file: header, sub-header with VMCOREINFO, bitmaps, descriptors, pages."""
    header = struct.pack("<8si", b"KDUMP   ", 6)
    names = (b"Linux", b"host", b"6.1.0", b"#1", b"x86_64", b"")
    header += b"".join(name.ljust(65, b"\0") for name in names)
    header = header.ljust(424, b"\0") + struct.pack("<IiiI", status, block_size, sub_blocks, 2)
    sub = struct.pack("<qiiqqqQ", 0, 31, split, 0, 0, BLOCK + 512, len(vmcoreinfo))
    bitmap = ((1 << pages) - 1).to_bytes(BLOCK, "little")
    data_at = 4 * BLOCK + 24 * pages
    descriptors = b"".join(
        struct.pack("<qIIQ", data_at + 100 * index, 100, 0x20, 0) for index in range(pages)
    )
    return (
        header.ljust(BLOCK, b"\0")
        + (sub.ljust(512, b"\0") + vmcoreinfo).ljust(BLOCK, b"\0")
        + bitmap * 2
        + descriptors
        + b"p" * 100 * pages
    )

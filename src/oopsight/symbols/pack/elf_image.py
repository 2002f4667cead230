"""Writes an ELF file of sections that are not loaded: what debug files are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

X86_64 = 62
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS = 1, 2, 3, 4, 7, 8
SHF_ALLOC, SHF_EXECINSTR = 2, 4
ET_REL, ET_EXEC = 1, 2
_NT_GNU_BUILD_ID = 3
_HEADER, _SECTION, _SEGMENT = 64, 64, 56


@dataclass(frozen=True)
class Part:
    """A section and its contents."""

    name: str
    data: bytes
    type: int = SHT_PROGBITS
    flags: int = 0
    address: int = 0
    link: str = ""
    """Name of the section that its strings are in."""
    info: int = 0
    entry_size: int = 0
    align: int = 1
    size: int | None = None
    """Of a section without contents (``SHT_NOBITS``)."""


def note(owner: bytes, kind: int, data: bytes) -> bytes:
    """One ELF note."""
    name = owner + b"\0"

    def padded(raw: bytes) -> bytes:
        return raw + bytes(-len(raw) % 4)

    return struct.pack("<III", len(name), len(data), kind) + padded(name) + padded(data)


def build_id_part(build_id: str) -> Part:
    """The section that bears a build ID.

    :param build_id: in hex
    """
    data = note(b"GNU", _NT_GNU_BUILD_ID, bytes.fromhex(build_id))
    return Part(".note.gnu.build-id", data, SHT_NOTE, align=4)


def elf_image(parts: Sequence[Part], loaded: tuple[int, int] | None, *, kind: int) -> bytes:
    """Lay out the file.

    :param loaded: first address and size in bytes of the one ``PT_LOAD``
    :param kind: ``ET_EXEC`` or ``ET_REL``
    """
    names = bytearray(b"\0")
    name_at = []
    for part in parts:
        name_at.append(len(names))
        names += part.name.encode() + b"\0"
    name_at.append(len(names))
    names += b".shstrtab\0"
    every = [*parts, Part(".shstrtab", bytes(names), SHT_STRTAB)]
    index = {part.name: number for number, part in enumerate(every, 1)}

    segments = int(loaded is not None)
    chunks: list[bytes] = []
    at = _HEADER + _SEGMENT * segments
    headers = [bytes(_SECTION)]
    for part, name in zip(every, name_at, strict=True):
        gap = -at % max(part.align, 1)
        chunks.append(bytes(gap))
        at += gap
        headers.append(
            struct.pack(
                "<IIQQQQIIQQ",
                name,
                part.type,
                part.flags,
                part.address,
                at,
                len(part.data) if part.size is None else part.size,
                index[part.link] if part.link else 0,
                part.info,
                part.align,
                part.entry_size,
            )
        )
        chunks.append(part.data)
        at += len(part.data)
    gap = -at % 8
    chunks.append(bytes(gap))
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    fixed = (kind, X86_64, 1, 0, _HEADER if segments else 0, at + gap, 0)
    counts = (_HEADER, _SEGMENT if segments else 0, segments, _SECTION, len(headers), len(every))
    header = ident + struct.pack("<HHIQQQIHHHHHH", *fixed, *counts)
    segment = b""
    if loaded:
        start, size = loaded
        segment = struct.pack("<IIQQQQQQ", 1, 7, 0, start, start, 0, size, 4096)
    return b"".join([header, segment, *chunks, *headers])

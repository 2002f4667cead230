"""The few parts of ELF that dumps and symbol files need: program headers and notes.

Source of the layout: ``elf(5)``. Only 64-bit files are read; both byte orders.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from oopsight.cheap import dataclass

MAGIC = b"\x7fELF"
ET_REL, ET_CORE = 1, 4
PT_LOAD = 1
PT_NOTE = 4
NT_GNU_BUILD_ID = 3
MACHINES = {3: "i386", 8: "mips", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64"}
MACHINES |= {183: "aarch64", 243: "riscv64", 258: "loongarch64"}
_SHT_NOTE = 7
_ELFCLASS64 = 2
_PN_XNUM = 0xFFFF
# More than any real file has; a hostile header must not make us loop.
_MAX_HEADERS = 1 << 20
_MAX_NOTES = 64 << 20


class MalformedElfError(ValueError):
    """The file is not the ELF file that its header announces."""


@dataclass(frozen=True)
class Segment:
    """A program header: file range and, for ``PT_LOAD``, where it lay in memory."""

    type: int
    offset: int
    virtual: int
    physical: int
    file_size: int
    memory_size: int


@dataclass(frozen=True)
class Section:
    """A section header."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int


@dataclass(frozen=True)
class Note:
    """One ELF note."""

    name: bytes
    type: int
    data: bytes


class ElfFile:
    """Headers of an ELF file.

    :raises MalformedElfError: if the file is no 64-bit ELF file or its headers are cut off
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        ident = file.read(16)
        if len(ident) < 16 or ident[:4] != MAGIC:
            raise MalformedElfError("no ELF file")
        if ident[4] != _ELFCLASS64:
            raise MalformedElfError("a 32-bit ELF file")
        self._order = ">" if ident[5] == 2 else "<"
        header = self._unpack("HHIQQQIHHHHHH", file.read(48))
        self.type: int = header[0]
        self.machine_number: int = header[1]
        self._phoff, self._shoff = header[4], header[5]
        self._phentsize, self._phnum = header[8], header[9]
        self._shentsize, self._shnum, self._shstrndx = header[10], header[11], header[12]

    def _unpack(self, layout: str, data: bytes) -> tuple[int, ...]:
        try:
            return struct.unpack(self._order + layout, data)
        except struct.error:
            raise MalformedElfError("the ELF headers are cut off") from None

    def _read(self, offset: int, size: int) -> bytes:
        try:
            self._file.seek(offset)
        except (OSError, ValueError, OverflowError):
            raise MalformedElfError(f"an ELF header points to {offset:#x}") from None
        return self._file.read(size)

    @property
    def little_endian(self) -> bool:
        """Its byte order."""
        return self._order == "<"

    @property
    def machine(self) -> str | None:
        """Machine in ``uname -m``'s words."""
        return MACHINES.get(self.machine_number)

    def segments(self) -> list[Segment]:
        """All program headers."""
        count = self._phnum
        if count == _PN_XNUM:  # the real count is in the first section header's sh_info
            count = self._unpack("I", self._read(self._shoff + 44, 4))[0]
        if count > _MAX_HEADERS or (count and self._phentsize != 56):
            raise MalformedElfError("the ELF program headers are malformed")
        data = self._read(self._phoff, 56 * count)
        result = []
        for index in range(count):
            values = self._unpack("IIQQQQQQ", data[56 * index : 56 * index + 56])
            kind, _flags, offset, virtual, physical, file_size, memory_size, _align = values
            result.append(Segment(kind, offset, virtual, physical, file_size, memory_size))
        return result

    def sections(self) -> list[Section]:
        """All section headers; empty where there are none."""
        if self._shentsize != 64:
            return []
        data = self._read(self._shoff, 64 * self._shnum)
        rows = [
            self._unpack("IIQQQQIIQQ", data[at : at + 64]) for at in range(0, len(data) - 63, 64)
        ]
        strings = b""
        if self._shstrndx < len(rows):
            strings = self._read(rows[self._shstrndx][4], min(rows[self._shstrndx][5], _MAX_NOTES))
        return [
            Section(
                name=strings[row[0] : strings.find(b"\0", row[0])].decode("ascii", "replace"),
                type=row[1],
                flags=row[2],
                address=row[3],
                offset=row[4],
                size=row[5],
                link=row[6],
                info=row[7],
                align=row[8],
            )
            for row in rows
        ]

    def contents(self, section: Section) -> bytes:
        """Bytes of a section, bounded."""
        return self._read(section.offset, min(section.size, _MAX_NOTES))

    def notes(self) -> Iterator[Note]:
        """Notes of the program headers, or of the sections where there are none (``.ko``)."""
        ranges = [(s.offset, s.file_size) for s in self.segments() if s.type == PT_NOTE]
        if not ranges:
            ranges = [(s.offset, s.size) for s in self.sections() if s.type == _SHT_NOTE]
        for offset, size in ranges:
            yield from parse_notes(self._read(offset, min(size, _MAX_NOTES)), self._order)

    def build_id(self) -> str | None:
        """GNU build ID in lower-case hex, or ``None``."""
        for note in self.notes():
            if note.name == b"GNU" and note.type == NT_GNU_BUILD_ID:
                return note.data.hex()
        return None


def parse_notes(data: bytes, order: str = "<") -> Iterator[Note]:
    """Notes in a block of memory; stops at the first that does not fit.

    :param order: ``<`` little, ``>`` big endian
    """
    position = 0
    while position + 12 <= len(data):
        name_size, data_size, kind = struct.unpack_from(order + "III", data, position)
        name_at = position + 12
        data_at = name_at + (name_size + 3 & ~3)
        position = data_at + (data_size + 3 & ~3)
        if data_at + data_size > len(data):
            return
        name = data[name_at : name_at + name_size].rstrip(b"\0")
        yield Note(name, kind, data[data_at : data_at + data_size])

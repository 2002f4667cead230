"""Source lines of a unit's instructions, read from its line number program (DWARF, section 6.2).

Of several rows for one address only the last is ever looked at, and a row that tells the same as
the one before tells nothing: neither is kept, nor are columns.
"""

from __future__ import annotations

from dataclasses import dataclass

from oopsight.symbols.pack.debuginfo.dies import (
    F_DATA1,
    F_DATA2,
    F_LINE_STRP,
    F_STRING,
    F_STRP,
    F_UDATA,
    BadDwarfError,
    Dwarf,
    number_at,
    signed_at,
    text_at,
)
from oopsight.symbols.pack.debuginfo.sections import Bytes

_PATH, _DIRECTORY = 1, 2
_DATA16, _BLOCK = 0x1E, 9
(_EXTENDED, _COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE) = range(5)
_CONST_ADD_PC, _FIXED_ADVANCE_PC = 8, 9
_END_SEQUENCE, _SET_ADDRESS = 1, 2
_MOST_FILES = 1 << 20


@dataclass(frozen=True, slots=True)
class Sequence:
    """Lines of one stretch of code, by address."""

    rows: list[tuple[int, int, int]]
    """First address, number of the file, line; each holds up to the next one."""
    end: int
    """Address behind the last instruction."""


@dataclass(frozen=True, slots=True)
class LineTable:
    """Files by their number in this unit, and lines."""

    files: list[bytes]
    sequences: list[Sequence]

    def file(self, number: int) -> bytes:
        """Path of a file."""
        return self.files[number] if 0 <= number < len(self.files) else b""


class _Header:
    """Reads one table's header; ``at`` moves on."""

    def __init__(self, dwarf: Dwarf, data: Bytes, at: int) -> None:
        self._dwarf, self._data = dwarf, data
        length = int.from_bytes(data[at : at + 4], "little")
        self.end = at + 4 + length
        if length >= 0xFFFFFFF0 or self.end > len(data):
            raise BadDwarfError("a line table is cut off")
        self.version = int.from_bytes(data[at + 4 : at + 6], "little")
        if self.version not in (2, 3, 4, 5):
            raise BadDwarfError(f"a line table of version {self.version}")
        at += 8 if self.version == 5 else 6
        self.program = at + 4 + int.from_bytes(data[at : at + 4], "little")
        at += 4
        self.step = data[at]
        at += 2 if self.version >= 4 else 1
        self.line_base = data[at + 1] - (data[at + 1] & 0x80) * 2
        self.line_range, self.opcode_base = data[at + 2], data[at + 3]
        if not self.line_range or not self.opcode_base:
            raise BadDwarfError("a line table that cannot be carried out")
        self.operands = list(data[at + 4 : at + 3 + self.opcode_base])
        self._at = at + 3 + self.opcode_base

    def files(self, directory: bytes) -> list[bytes]:
        """Paths by number, relative to where the kernel was compiled or whole."""
        if self.version == 5:
            directories = [path for path, _ in self._entries()]
            found = self._entries()
        else:
            directories = [directory, *iter(self._string, b"")]
            found = [(b"???", 0)]
            while path := self._string():
                found.append((path, self._number()))
                self._number()
                self._number()
        return [_joined(directories, path, number) for path, number in found]

    def _string(self) -> bytes:
        text = text_at(self._data, self._at)
        self._at += len(text) + 1
        return text

    def _number(self) -> int:
        value, self._at = number_at(self._data, self._at)
        return value

    def _entries(self) -> list[tuple[bytes, int]]:
        """Version 5: entries whose layout is told before them."""
        layout = []
        self._at += 1
        for _ in range(self._data[self._at - 1]):
            kind = self._number()
            layout.append((kind, self._number()))
        count = self._number()
        if count > _MOST_FILES:
            raise BadDwarfError("a line table of too many files")
        return [self._entry(layout) for _ in range(count)]

    def _entry(self, layout: list[tuple[int, int]]) -> tuple[bytes, int]:
        path, number = b"", 0
        for kind, form in layout:
            value = self._value(form)
            if kind == _PATH and isinstance(value, bytes):
                path = value
            elif kind == _DIRECTORY and isinstance(value, int):
                number = value
        return path, number

    def _value(self, form: int) -> bytes | int:
        if form == F_UDATA:
            return self._number()
        if form == F_STRING:
            return self._string()
        if form == _BLOCK:
            length = self._number()
            self._at += length
            return b""
        width = {F_DATA1: 1, F_DATA2: 2, F_STRP: 4, F_LINE_STRP: 4, _DATA16: 16}.get(form)
        if width is None:
            raise BadDwarfError(f"a line table's form {form:#x} is not known here")
        value = int.from_bytes(self._data[self._at : self._at + width], "little")
        self._at += width
        if form == F_STRP:
            return self._dwarf.plain_string(value)
        return self._dwarf.line_string(value) if form == F_LINE_STRP else value


def _joined(directories: list[bytes], path: bytes, number: int) -> bytes:
    """As elfutils joins them, so that paths read the same as from the file itself."""
    if path.startswith(b"/") or number >= len(directories):
        return path
    return directories[number] + b"/" + path


def read_lines(dwarf: Dwarf, data: Bytes, at: int, directory: bytes) -> LineTable:
    """Read the table at an offset of ``.debug_line``.

    :param directory: where the unit was compiled
    :raises BadDwarfError: if it is damaged
    """
    header = _Header(dwarf, data, at)
    files = header.files(directory)
    program = bytes(data[header.program : header.end])
    return LineTable(files, _carry_out(header, program))


def _carry_out(header: _Header, program: bytes) -> list[Sequence]:
    step, base, line_range = header.step, header.opcode_base, header.line_range
    line_base, operands = header.line_base, header.operands
    sequences: list[Sequence] = []
    rows: list[tuple[int, int, int]] = []
    address, file, line = 0, 1, 1
    at, end = 0, len(program)
    while at < end:
        opcode = program[at]
        at += 1
        if opcode >= base:
            advance = opcode - base
            address += advance // line_range * step
            line += line_base + advance % line_range
            _note(rows, address, file, line)
        elif opcode == _COPY:
            _note(rows, address, file, line)
        elif opcode == _ADVANCE_LINE:
            value, at = signed_at(program, at)
            line += value
        elif opcode == _ADVANCE_PC:
            value, at = number_at(program, at)
            address += value * step
        elif opcode == _SET_FILE:
            file, at = number_at(program, at)
        elif opcode == _CONST_ADD_PC:
            address += (255 - base) // line_range * step
        elif opcode == _FIXED_ADVANCE_PC:
            address += int.from_bytes(program[at : at + 2], "little")
            at += 2
        elif opcode == _EXTENDED:
            length, at = number_at(program, at)
            kind, following = program[at], at + length
            if kind == _SET_ADDRESS:
                address = int.from_bytes(program[at + 1 : at + 9], "little")
            elif kind == _END_SEQUENCE:
                if rows:
                    sequences.append(Sequence(_told_once(rows), address))
                rows, address, file, line = [], 0, 1, 1
            at = following
        else:
            for _ in range(operands[opcode - 1]):
                _, at = number_at(program, at)
    return sequences


def _note(rows: list[tuple[int, int, int]], address: int, file: int, line: int) -> None:
    row = (address, file, line)
    if rows and rows[-1][0] == address:
        rows[-1] = row
    else:
        rows.append(row)


def _told_once(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    kept: list[tuple[int, int, int]] = []
    for row in rows:
        if not kept or row[1:] != kept[-1][1:]:
            kept.append(row)
    return kept

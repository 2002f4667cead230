"""Writes what was taken of debug information: units of functions, ranges, lines.

The units are partial ones, DWARF 5, which no index of names lists: types and functions have theirs
elsewhere in the pack. A reader comes to them by address alone, through ``.debug_aranges``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from oopsight.symbols.pack.debuginfo.functions import Call, CodeUnit, Ranges
from oopsight.symbols.pack.debuginfo.line_program import line_table, uleb
from oopsight.symbols.pack.debuginfo.line_rows import LineTable
from oopsight.symbols.pack.debuginfo.sections import SECTION_ROOM

_PARTIAL_UNIT, _SUBPROGRAM, _INLINED_SUBROUTINE = 0x3C, 0x2E, 0x1D
_SIBLING, _NAME, _STMT_LIST, _LOW_PC = 1, 3, 0x10, 0x11
_RANGES, _CALL_FILE, _CALL_LINE = 0x55, 0x58, 0x59
_ADDR, _STRP, _UDATA, _REF4, _SEC_OFFSET = 1, 0xE, 0xF, 0x13, 0x17
_CODE = ((_NAME, _STRP), (_RANGES, _SEC_OFFSET))
_CALLED = ((_CALL_FILE, _UDATA), (_CALL_LINE, _UDATA))
_LINK = ((_SIBLING, _REF4),)
_UNIT = ((_NAME, _STRP), (_STMT_LIST, _SEC_OFFSET), (_LOW_PC, _ADDR), (_RANGES, _SEC_OFFSET))
# Codes from 1 on; with children they have the code before that of without.
_LAYOUTS = (
    (_PARTIAL_UNIT, True, _UNIT),
    (_SUBPROGRAM, True, _LINK + _CODE),
    (_SUBPROGRAM, False, _CODE),
    (_INLINED_SUBROUTINE, True, _LINK + _CODE + _CALLED),
    (_INLINED_SUBROUTINE, False, _CODE + _CALLED),
)
_FUNCTION, _INLINED = 2, 4
_UNIT_HEADER = 12
_OFFSET_PAIR, _START_LENGTH = 4, 7
_KIND_PARTIAL = 3
_ARANGES_HEADER = 16
_RNGLISTS_HEADER = 12


def abbreviations() -> bytes:
    """The units' abbreviation table."""
    table = b""
    for code, (tag, children, attributes) in enumerate(_LAYOUTS, 1):
        pairs = bytes(part for pair in attributes for part in pair)
        table += bytes((code, tag, children)) + pairs + b"\0\0"
    return table + b"\0"


@dataclass
class LineUnits:
    """Takes units one by one; then has the sections."""

    string: Callable[[bytes], int]
    """Offset of a string in ``.debug_str``."""
    abbreviations_at: int = 0
    """Where the units' abbreviation table will."""
    info: bytearray = field(default_factory=bytearray)
    line: bytearray = field(default_factory=bytearray)
    aranges: bytearray = field(default_factory=bytearray)
    lists: bytearray = field(default_factory=bytearray)
    paths: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    relocations: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """By section: places where an address stands, and which; in ``info`` from its own start."""
    _unit_at: list[tuple[int, int]] = field(default_factory=list)
    _path_at: dict[bytes, int] = field(default_factory=dict)
    _list_at: dict[bytes, int] = field(default_factory=dict)

    def add(self, unit: CodeUnit, lines: LineTable) -> None:
        """Write a unit that has code."""
        files = _Files(lines, unit.name)
        base = min(low for low, _ in unit.ranges)
        head = bytearray((1,))
        head += self.string(unit.name).to_bytes(4, "little")
        head += len(self.line).to_bytes(4, "little")
        start = len(self.info)
        self._relocate(".debug_info", start + _UNIT_HEADER + len(head), base)
        head += base.to_bytes(8, "little") + self._list(unit.ranges, base).to_bytes(4, "little")
        body = head
        for call in unit.functions:
            self._call(body, call, base, files, _FUNCTION)
        body.append(0)
        self._line_table(files)
        length = _UNIT_HEADER - 4 + len(body)
        header = length.to_bytes(4, "little") + b"\x05\0" + bytes((_KIND_PARTIAL, 8))
        self.info += header + self.abbreviations_at.to_bytes(4, "little") + body
        self._ranges_of(unit.ranges, start)

    def _call(self, body: bytearray, call: Call, base: int, files: _Files, code: int) -> None:
        body.append(code if call.inlined else code + 1)
        link = len(body)
        if call.inlined:
            body += bytes(4)
        body += self.string(call.name).to_bytes(4, "little")
        body += self._list(call.ranges, base).to_bytes(4, "little")
        if code == _INLINED:
            body += uleb(files.number(call.file)) + uleb(call.line)
        if call.inlined:
            for inner in call.inlined:
                self._call(body, inner, base, files, _INLINED)
            body.append(0)
            body[link : link + 4] = (_UNIT_HEADER + len(body)).to_bytes(4, "little")

    def _list(self, ranges: Ranges, base: int) -> int:
        """Where a list of ranges stands, in ``.debug_rnglists``; equal ones stand there once."""
        key = bytearray()
        addresses: list[tuple[int, int]] = []
        for low, high in ranges:
            if low >= base and low // SECTION_ROOM == base // SECTION_ROOM:
                key.append(_OFFSET_PAIR)
                key += uleb(low - base) + uleb(high - base)
            else:
                key.append(_START_LENGTH)
                addresses.append((len(key), low))
                key += low.to_bytes(8, "little") + uleb(high - low)
        key.append(0)
        found = bytes(key)
        if found not in self._list_at:
            place = _RNGLISTS_HEADER + len(self.lists)
            self._list_at[found] = place
            for at, address in addresses:
                self._relocate(".debug_rnglists", place + at, address)
            self.lists += found
        return self._list_at[found]

    def _line_table(self, files: _Files) -> None:
        start = len(self.line)
        directories: dict[bytes, int] = {}
        names = []
        for path in files.used():
            directory, _, name = path.rpartition(b"/")
            number = directories.setdefault(directory, len(directories))
            names.append((self._path(name), number))

        places = [self._path(directory) for directory in directories]

        def relocate(at: int, address: int) -> None:
            self._relocate(".debug_line", start + at, address)

        self.line += line_table(places, names, files.sequences, relocate)

    def _path(self, path: bytes) -> int:
        if path not in self._path_at:
            self._path_at[path] = len(self.paths)
            self.paths += path + b"\0"
        return self._path_at[path]

    def _ranges_of(self, ranges: Ranges, unit_at: int) -> None:
        start = len(self.aranges)
        self._unit_at.append((start + 6, unit_at))
        rows = b""
        for low, high in ranges:
            self._relocate(".debug_aranges", start + _ARANGES_HEADER + len(rows), low)
            rows += low.to_bytes(8, "little") + (high - low).to_bytes(8, "little")
        length = _ARANGES_HEADER - 4 + len(rows) + 16
        header = length.to_bytes(4, "little") + b"\x02\0" + bytes(4) + b"\x08\0" + bytes(4)
        self.aranges += header + rows + bytes(16)

    def _relocate(self, section: str, at: int, address: int) -> None:
        self.relocations.setdefault(section, []).append((at, address))

    def sections(self, info_at: int) -> Iterator[tuple[str, bytes]]:
        """Those that are these units' alone; ``info`` and :func:`abbreviations` go behind others'.

        :param info_at: where ``info`` is put in ``.debug_info``
        :return: names and contents
        """
        for place, unit in self._unit_at:
            self.aranges[place : place + 4] = (info_at + unit).to_bytes(4, "little")
        length = _RNGLISTS_HEADER - 4 + len(self.lists)
        lists = length.to_bytes(4, "little") + b"\x05\0\x08\0" + bytes(4) + self.lists
        yield ".debug_rnglists", lists
        yield ".debug_line", bytes(self.line)
        yield ".debug_line_str", bytes(self.paths)
        yield ".debug_aranges", bytes(self.aranges)


class _Files:
    """Gives the files that are referred to new numbers, from 1 on; 0 is the unit's own."""

    def __init__(self, lines: LineTable, name: bytes) -> None:
        self._lines = lines
        self._paths = [name]
        self._numbers: dict[bytes, int] = {}
        self.sequences = [
            type(sequence)(
                [(address, self.number(file), line) for address, file, line in sequence.rows],
                sequence.end,
            )
            for sequence in lines.sequences
        ]

    def number(self, old: int) -> int:
        """The new number of a file."""
        path = self._lines.file(old)
        if path not in self._numbers:
            self._numbers[path] = len(self._paths)
            self._paths.append(path)
        return self._numbers[path]

    def used(self) -> list[bytes]:
        """Paths by new number."""
        return self._paths

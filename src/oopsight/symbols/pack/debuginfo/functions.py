"""Functions of a unit, the calls that were inlined into them, and its variables."""

from __future__ import annotations

from dataclasses import dataclass, field

from oopsight.symbols.pack.debuginfo.dies import (
    CALL_FILE,
    CALL_LINE,
    COMP_DIR,
    F_EXPRLOC,
    LOCATION,
    LOW_PC,
    RANGES,
    SPECIFICATION,
    STMT_LIST,
    TYPE,
    Abbreviation,
    BadDwarfError,
    Dwarf,
    Unit,
    number_at,
)

_LEXICAL_BLOCK, _INLINED_SUBROUTINE, _SUBPROGRAM, _VARIABLE = 0xB, 0x1D, 0x2E, 0x34
_WANTED = (_INLINED_SUBROUTINE, _SUBPROGRAM)
_OP_ADDR = 3
_DEEPEST = 512

Ranges = list[tuple[int, int]]
"""First address, and the one behind the last, of each stretch."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or one that was inlined: then with the place that it was called from."""

    name: bytes
    ranges: Ranges
    file: int = 0
    line: int = 0
    inlined: list[Call] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable with a fixed address."""

    name: bytes
    address: int
    type_at: int
    """Place of its type in the section; 0 where it has none."""


@dataclass(frozen=True)
class CodeUnit:
    """What is wanted of a unit."""

    name: bytes
    directory: bytes
    """Where it was compiled; file names may be relative to it."""
    ranges: Ranges
    lines_at: int | None
    """Of its line table in ``.debug_line``."""
    functions: list[Call]
    variables: list[Variable]


def read_unit(dwarf: Dwarf, unit: Unit) -> CodeUnit:
    """Walk through a unit.

    :raises BadDwarfError: if it is damaged
    """
    layout, top, at = dwarf.entry(unit, unit.first)
    # Where a unit has several stretches, its low_pc is the base of their offsets.
    base = dwarf.address(unit, *top[LOW_PC]) if LOW_PC in top else 0
    reader = _Reader(dwarf, unit, base)
    if layout.children:
        reader.walk(at)
    directory = dwarf.string(unit, *top[COMP_DIR]) if COMP_DIR in top else b""
    return CodeUnit(
        dwarf.name(unit, top),
        directory,
        dwarf.code_ranges(unit, top, base if RANGES in top else 0),
        int(top[STMT_LIST][1]) if STMT_LIST in top else None,
        reader.functions,
        reader.variables,
    )


class _Reader:
    def __init__(self, dwarf: Dwarf, unit: Unit, base: int) -> None:
        self._dwarf, self._unit, self._base = dwarf, unit, base
        self.functions: list[Call] = []
        self.variables: list[Variable] = []

    def walk(self, at: int) -> None:
        """Take what is wanted of the entries from a place on to the end of their list."""
        data, abbreviations = self._unit.data, self._unit.abbreviations
        # Of each list that is open: where the calls within it belong.
        open_lists: list[list[Call]] = [self.functions]
        while True:
            code = data[at]
            at += 1
            if not code:
                open_lists.pop()
                if not open_lists:
                    return
                continue
            if code >= 0x80:
                code, at = number_at(data, at - 1)
            layout = abbreviations[code]
            tag = layout.tag
            if tag in _WANTED:
                call, end = self._call(layout, at)
                if call is None and layout.sibling >= 0:
                    at = _sibling(data, at, layout)
                    continue
                at = end
                if call is not None:
                    open_lists[-1].append(call)
                if layout.children:
                    # What stands within code that was left out belongs nowhere.
                    open_lists.append([] if call is None else call.inlined)
            elif tag == _VARIABLE and len(open_lists) == 1:
                at = self._variable(layout, at)
                if layout.children:
                    open_lists.append([])
            elif not layout.children:
                at = at + layout.size if layout.size >= 0 else layout.skip(data, at)
            elif layout.sibling >= 0 and tag != _LEXICAL_BLOCK:
                at = _sibling(data, at, layout)
            else:
                at = layout.skip(data, at)
                # One within a namespace (Rust's) is left to its symbol, which names it whole.
                open_lists.append(open_lists[-1] if tag == _LEXICAL_BLOCK else [])
            if len(open_lists) > _DEEPEST:
                raise BadDwarfError("its entries are nested without end")

    def _call(self, layout: Abbreviation, at: int) -> tuple[Call | None, int]:
        dwarf, unit = self._dwarf, self._unit
        values, end = dwarf.values(unit.data, at, layout)
        ranges = dwarf.code_ranges(unit, values, self._base)
        if not ranges:
            return None, end
        file, line = (int(values[key][1]) if key in values else 0 for key in (CALL_FILE, CALL_LINE))
        return Call(dwarf.name(unit, values), ranges, file, line), end

    def _variable(self, layout: Abbreviation, at: int) -> int:
        dwarf, unit = self._dwarf, self._unit
        values, end = dwarf.values(unit.data, at, layout)
        form, place = values.get(LOCATION, (0, b""))
        fixed = form == F_EXPRLOC and isinstance(place, bytes) and len(place) == 9
        if fixed and isinstance(place, bytes) and place[0] == _OP_ADDR:
            holder = unit
            name, kind = dwarf.name(unit, values), values.get(TYPE)
            if kind is None and SPECIFICATION in values:
                declared = dwarf.reference(unit, *values[SPECIFICATION])
                holder = dwarf.unit_at(declared)
                _, values, _ = dwarf.entry(holder, declared - holder.offset)
                kind = values.get(TYPE)
            type_at = dwarf.reference(holder, *kind) if kind else 0
            address = int.from_bytes(place[1:], "little")
            if name:
                self.variables.append(Variable(name, address, type_at))
        return end


def _sibling(data: bytes, at: int, layout: Abbreviation) -> int:
    place = at + layout.sibling
    following = int.from_bytes(data[place : place + 4], "little")
    if following <= at:
        raise BadDwarfError("an entry is followed by itself")
    return following

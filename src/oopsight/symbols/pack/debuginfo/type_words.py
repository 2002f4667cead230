"""The types of variables in the words of :mod:`oopsight.symbols.pack.variables`."""

from __future__ import annotations

from oopsight.symbols.pack.debuginfo.dies import (
    COUNT,
    DECLARATION,
    TYPE,
    UPPER_BOUND,
    Dwarf,
    Unit,
    Values,
)

_ARRAY, _ENUM, _POINTER, _STRUCT, _TYPEDEF, _UNION = 1, 4, 0xF, 0x13, 0x16, 0x17
_SUBRANGE, _BASE, _CONST, _VOLATILE, _MEMBER = 0x21, 0x24, 0x26, 0x35, 0xD
_BYTE_SIZE, _BIT_SIZE, _MEMBER_LOCATION, _DATA_BIT_OFFSET = 0xB, 0xD, 0x38, 0x6B
_NAMED = {_ENUM: "enum ", _STRUCT: "struct ", _UNION: "union ", _TYPEDEF: "", _BASE: ""}
_QUALIFIERS = {_CONST: "const ", _VOLATILE: "volatile "}
_MOST_MEMBERS = 256
_DEEPEST = 32


class TypeWords:
    """Says types in words, each once."""

    def __init__(self, dwarf: Dwarf) -> None:
        self._dwarf = dwarf
        self._known: dict[int, str | None] = {}

    def words(self, place: int, depth: int = 0) -> str | None:
        """The type at a place in ``.debug_info``; ``None`` for what the words cannot say.

        :param place: 0 is ``void``
        """
        if not place:
            return "void"
        if place not in self._known:
            self._known[place] = self._words(place, depth) if depth < _DEEPEST else None
        return self._known[place]

    def _words(self, place: int, depth: int) -> str | None:
        dwarf = self._dwarf
        unit = dwarf.unit_at(place)
        layout, values, behind = dwarf.entry(unit, place - unit.offset)
        tag = layout.tag
        if tag in _NAMED:
            name = dwarf.name(unit, values).decode("ascii", "replace")
            if name:
                return f"{_NAMED[tag]}{name}"
            wanted = tag == _STRUCT and not depth and layout.children
            return self._members(unit, values, behind) if wanted else None
        inner = self.words(dwarf.reference(unit, *values[TYPE]) if TYPE in values else 0, depth + 1)
        if inner is None:
            return None
        if tag == _POINTER:
            return f"*{inner}"
        if tag in _QUALIFIERS:
            return f"{_QUALIFIERS[tag]}{inner}"
        return self._lengths(unit, behind) + inner if tag == _ARRAY else None

    def _lengths(self, unit: Unit, at: int) -> str:
        text = ""
        while unit.data[at]:
            layout, values, at = self._dwarf.entry(unit, at)
            if layout.tag == _SUBRANGE:
                length = 0
                if COUNT in values:
                    length = int(values[COUNT][1])
                elif UPPER_BOUND in values and not isinstance(values[UPPER_BOUND][1], bytes):
                    # GCC writes -1, of whatever width, for no elements.
                    length = int(values[UPPER_BOUND][1]) + 1 & 0x7FFFFFFF
                text += f"[{length}]"
        return text or "[0]"

    def _members(self, unit: Unit, struct: Values, at: int) -> str | None:
        """A struct without a name, by its members."""
        if DECLARATION in struct or _BYTE_SIZE not in struct:
            return None
        parts: list[str] = []
        while unit.data[at]:
            layout, values, at = self._dwarf.entry(unit, at)
            name = self._dwarf.name(unit, values).decode("ascii", "replace")
            odd = layout.children or _BIT_SIZE in values or _DATA_BIT_OFFSET in values
            if layout.tag != _MEMBER or odd or not name or len(parts) == _MOST_MEMBERS:
                return None
            offset = values.get(_MEMBER_LOCATION, (0, 0))[1]
            inner = self.words(self._dwarf.reference(unit, *values[TYPE]), 1)
            if inner is None or isinstance(offset, bytes):
                return None
            parts.append(f"{offset} {name} {inner}")
        return f"{{{int(struct[_BYTE_SIZE][1])};{';'.join(parts)}}}" if parts else None

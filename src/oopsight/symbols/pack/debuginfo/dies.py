"""Units and entries of ``.debug_info``, DWARF 4 and 5, as GCC and Clang write them for Linux.

Most entries are types, which are not wanted: so the size of an entry's attributes is worked out
once for each abbreviation, and what has children is passed over by its ``DW_AT_sibling``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from oopsight.errors import SymbolError
from oopsight.symbols.pack.debuginfo.sections import Bytes, DebugFile

# DWARF 5, section 7.5: attributes
SIBLING, LOCATION, NAME, STMT_LIST, LOW_PC, HIGH_PC = (1, 2, 3, 0x10, 0x11, 0x12)
COMP_DIR, ABSTRACT_ORIGIN, COUNT, DECLARATION = (0x1B, 0x31, 0x37, 0x3C)
SPECIFICATION, TYPE, RANGES, CALL_FILE, CALL_LINE = (0x47, 0x49, 0x55, 0x58, 0x59)
UPPER_BOUND, STR_OFFSETS_BASE, ADDR_BASE, RNGLISTS_BASE = (0x2F, 0x72, 0x73, 0x74)
# and forms.
F_ADDR, F_BLOCK2, F_BLOCK4, F_DATA2, F_DATA4, F_DATA8, F_STRING = (1, 3, 4, 5, 6, 7, 8)
F_BLOCK, F_BLOCK1, F_DATA1, F_SDATA, F_STRP, F_UDATA, F_REF_ADDR = (9, 10, 11, 13, 14, 15, 16)
F_REF_UDATA, F_INDIRECT, F_SEC_OFFSET, F_EXPRLOC, F_STRX, F_ADDRX = (0x15, 0x16, 0x17, 24, 26, 27)
F_LINE_STRP, F_IMPLICIT_CONST, F_LOCLISTX, F_RNGLISTX = (0x1F, 0x21, 0x22, 0x23)
_STRX, _ADDRX = (F_STRX, 0x25, 0x26, 0x27, 0x28), (F_ADDRX, 0x29, 0x2A, 0x2B, 0x2C)
_UNIT_REFERENCES = (0x11, 0x12, 0x13, 0x14, F_REF_UDATA)
_SIZES = {F_ADDR: 8, F_DATA2: 2, F_DATA4: 4, F_DATA8: 8, F_DATA1: 1, 0xC: 1, F_STRP: 4}
_SIZES |= {F_REF_ADDR: 4, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, F_SEC_OFFSET: 4, 0x19: 0, 0x1C: 4}
_SIZES |= {0x1E: 16, F_LINE_STRP: 4, 0x20: 8, F_IMPLICIT_CONST: 0, 0x24: 8, 0x25: 1, 0x26: 2}
_SIZES |= {0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4}
_ONE_NUMBER = (F_SDATA, F_UDATA, F_REF_UDATA, F_STRX, F_ADDRX, F_LOCLISTX, F_RNGLISTX)
_BLOCKS = {F_BLOCK1: 1, F_BLOCK2: 2, F_BLOCK4: 4}
_SUPPLEMENTARY = (0x1C, 0x1D, 0x24, 0x1F20, 0x1F21)
_COMPILE, _PARTIAL, _SKELETON = 1, 3, 4
_KEPT_UNITS = 16

Values = dict[int, tuple[int, int | bytes]]
"""Of an entry: attribute to form and value, as it stands there."""


class BadDwarfError(SymbolError):
    """Debug information that is damaged, or of a form that is not known here."""


def number_at(data: Bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 and where the next thing begins."""
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7


def signed_at(data: Bytes, at: int) -> tuple[int, int]:
    """A signed LEB128 and where the next thing begins."""
    start = at
    result, at = number_at(data, at)
    return result - (1 << 7 * (at - start) if data[at - 1] & 0x40 else 0), at


@dataclass(frozen=True)
class Abbreviation:
    """How the entries of one code are laid out."""

    tag: int
    children: bool
    attributes: tuple[tuple[int, int, int], ...]
    """Attribute, form, and the value of an ``implicit_const``."""
    size: int = field(init=False)
    """Bytes of the attributes; -1 where that differs between entries."""
    sibling: int = field(init=False)
    """Where ``DW_AT_sibling`` (4 bytes) stands among them; -1 where it has none."""

    def __post_init__(self) -> None:
        at, sibling = 0, -1
        for attribute, form, _ in self.attributes:
            if attribute == SIBLING and form == 0x13 and at >= 0:
                sibling = at
            size = _SIZES.get(form)
            at = -1 if size is None or at < 0 else at + size
        object.__setattr__(self, "size", at)
        object.__setattr__(self, "sibling", sibling)

    def skip(self, data: Bytes, at: int) -> int:
        """Where the attributes end that begin at a place."""
        if self.size >= 0:
            return at + self.size
        for _, form, _ in self.attributes:
            size = _SIZES.get(form)
            at = at + size if size is not None else _variable(data, at, form)[1]
        return at


def _variable(data: Bytes, at: int, form: int) -> tuple[int | bytes, int]:
    """A value of a form without a fixed size, and where it ends."""
    if form == F_SDATA:
        return signed_at(data, at)
    if form in _ONE_NUMBER:
        return number_at(data, at)
    if form == F_STRING:
        end = at
        while data[end]:
            end += 1
        return bytes(data[at:end]), end + 1
    if form in (F_EXPRLOC, F_BLOCK):
        length, at = number_at(data, at)
    elif form in _BLOCKS:
        width = _BLOCKS[form]
        length, at = int.from_bytes(data[at : at + width], "little"), at + width
    elif form in _SUPPLEMENTARY:
        raise BadDwarfError("it needs a supplementary file (dwz); these are not read")
    else:
        raise BadDwarfError(f"form {form:#x} is not known here")
    return bytes(data[at : at + length]), at + length


def parse_abbreviations(data: Bytes, at: int) -> dict[int, Abbreviation]:
    """The abbreviation table at an offset of ``.debug_abbrev``."""
    table: dict[int, Abbreviation] = {}
    while True:
        code, at = number_at(data, at)
        if not code:
            return table
        tag, at = number_at(data, at)
        children = bool(data[at])
        at += 1
        attributes = []
        while True:
            attribute, at = number_at(data, at)
            form, at = number_at(data, at)
            constant = 0
            if form == F_IMPLICIT_CONST:
                constant, at = signed_at(data, at)
            if not attribute and not form:
                break
            attributes.append((attribute, form, constant))
        table[code] = Abbreviation(tag, children, tuple(attributes))


@dataclass(frozen=True)
class Unit:
    """A unit of ``.debug_info``; places in ``data`` plus ``offset`` are those in the section."""

    offset: int
    data: bytes
    version: int
    abbreviations: dict[int, Abbreviation]
    first: int
    """Where the unit's own entry begins."""


class Dwarf:
    """The debug information of one file."""

    def __init__(self, file: DebugFile) -> None:
        """Find the units.

        :raises SymbolError: if the file has none
        """
        if ".debug_info" not in file:
            raise SymbolError(
                f"{file.path}: holds no debug information; the debug package's vmlinux is needed"
            )
        self.info = file.linked(".debug_info")
        self._abbreviations = bytes(file.raw(".debug_abbrev"))
        self._strings = file.raw(".debug_str")
        self._line_strings = file.raw(".debug_line_str")
        self._string_offsets = file.linked(".debug_str_offsets")
        self._addresses = file.linked(".debug_addr")
        self._range_lists = file.linked(".debug_rnglists")
        self._ranges = file.linked(".debug_ranges")
        self._tables: dict[int, dict[int, Abbreviation]] = {}
        self._names: dict[int, bytes] = {}
        self.starts = self._find_units()
        # The unit that refers to an entry of another is soon followed by the next that does.
        self._unit = lru_cache(_KEPT_UNITS)(self._read_unit)

    def _find_units(self) -> list[int]:
        starts, at = [], 0
        while at + 12 <= len(self.info):
            starts.append(at)
            length = int.from_bytes(self.info[at : at + 4], "little")
            if length >= 0xFFFFFFF0 or at + 4 + length > len(self.info):
                raise BadDwarfError("DWARF of 64 bits, or cut off")
            at += 4 + length
        return starts

    def units(self) -> Iterator[Unit]:
        """Yield the compilation units."""
        for start in self.starts:
            unit = self._unit(start)
            if unit is not None:
                yield unit

    def _read_unit(self, start: int) -> Unit | None:
        length = int.from_bytes(self.info[start : start + 4], "little")
        data = bytes(self.info[start : start + 4 + length])
        version = int.from_bytes(data[4:6], "little")
        if version not in (2, 3, 4, 5):
            raise BadDwarfError(f"DWARF {version} is not known here")
        first, table = (12, data[8:12]) if version == 5 else (11, data[6:10])
        if version == 5 and data[6] in (_SKELETON, _SKELETON + 1):
            raise BadDwarfError("it is split into .dwo files; these are not read")
        if version == 5 and data[6] not in (_COMPILE, _PARTIAL):
            return None
        if data[first - 5 if version == 5 else 10] != 8:
            raise BadDwarfError("addresses are not of 64 bits")
        at = int.from_bytes(table, "little")
        if at not in self._tables:
            self._tables[at] = parse_abbreviations(self._abbreviations, at)
        return Unit(start, data, version, self._tables[at], first)

    def unit_at(self, offset: int) -> Unit:
        """The unit that holds an entry.

        :param offset: in the section
        """
        unit = self._unit(self.starts[bisect_right(self.starts, offset) - 1])
        if unit is None:
            raise BadDwarfError("an entry refers to no compilation unit")
        return unit

    @staticmethod
    def entry(unit: Unit, at: int) -> tuple[Abbreviation, Values, int]:
        """An entry: its layout, its attributes, and where the next begins."""
        data = unit.data
        code, at = number_at(data, at)
        layout = unit.abbreviations[code]
        values, at = Dwarf.values(data, at, layout)
        return layout, values, at

    @staticmethod
    def values(data: bytes, at: int, layout: Abbreviation) -> tuple[Values, int]:
        """Attributes of an entry whose code has been read, and where they end."""
        values: Values = {}
        for attribute, form, constant in layout.attributes:
            size = _SIZES.get(form)
            if size is None:
                value, at = _variable(data, at, form)
                values[attribute] = form, value
            elif form == F_IMPLICIT_CONST:
                values[attribute] = form, constant
            else:
                values[attribute] = form, int.from_bytes(data[at : at + size], "little")
                at += size
        return values, at

    def string(self, unit: Unit, form: int, value: int | bytes) -> bytes:
        """Text of a string attribute."""
        if isinstance(value, bytes):
            return value
        if form in _STRX:
            _, values, _ = self.entry(unit, unit.first)
            base = int(values[STR_OFFSETS_BASE][1]) if STR_OFFSETS_BASE in values else 8
            at = base + 4 * value
            value, form = int.from_bytes(self._string_offsets[at : at + 4], "little"), F_STRP
        if form not in (F_STRP, F_LINE_STRP):
            raise BadDwarfError(f"a string of form {form:#x}")
        return text_at(self._strings if form == F_STRP else self._line_strings, value)

    def line_string(self, offset: int) -> bytes:
        """A string of ``.debug_line_str``."""
        return text_at(self._line_strings, offset)

    def plain_string(self, offset: int) -> bytes:
        """A string of ``.debug_str``."""
        return text_at(self._strings, offset)

    @staticmethod
    def reference(unit: Unit, form: int, value: int | bytes) -> int:
        """Place in the section of the entry that an attribute refers to."""
        if form in _UNIT_REFERENCES:
            return unit.offset + int(value)
        if form != F_REF_ADDR:
            raise BadDwarfError("an entry refers to a supplementary file (dwz); these are not read")
        return int(value)

    def name(self, unit: Unit, values: Values) -> bytes:
        """Name of an entry, or of the one that it stems from; empty where there is none."""
        for _ in range(8):
            if NAME in values:
                return self.string(unit, *values[NAME])
            origin = values.get(ABSTRACT_ORIGIN) or values.get(SPECIFICATION)
            if origin is None:
                return b""
            place = self.reference(unit, *origin)
            if place in self._names:
                return self._names[place]
            unit = self.unit_at(place)
            _, values, _ = self.entry(unit, place - unit.offset)
            if NAME in values:
                self._names[place] = self.string(unit, *values[NAME])
        return b""

    def address(self, unit: Unit, form: int, value: int | bytes) -> int:
        """An address attribute."""
        if form in _ADDRX:
            _, values, _ = self.entry(unit, unit.first)
            return self._indexed(int(values[ADDR_BASE][1]), int(value))
        if form != F_ADDR:
            raise BadDwarfError(f"an address of form {form:#x}")
        return int(value)

    def _indexed(self, base: int, index: int) -> int:
        at = base + 8 * index
        return int.from_bytes(self._addresses[at : at + 8], "little")

    def code_ranges(self, unit: Unit, values: Values, base: int) -> list[tuple[int, int]]:
        """First address, and the one behind the last, of each stretch of an entry's code.

        :param base: the unit's own lowest address
        """
        if LOW_PC in values and HIGH_PC in values:
            low = self.address(unit, *values[LOW_PC])
            form, high = values[HIGH_PC]
            end = self.address(unit, form, high) if form == F_ADDR or form in _ADDRX else None
            end = low + int(high) if end is None else end
            return [(low, end)] if end > low else []
        if RANGES not in values:
            return []
        form, value = values[RANGES]
        if unit.version < 5:
            return list(self._old_ranges(int(value), base))
        return list(self._listed_ranges(unit, form, int(value), base))

    def _old_ranges(self, at: int, base: int) -> Iterator[tuple[int, int]]:
        """``.debug_ranges``: pairs, ended by two zeros."""
        while True:
            low = int.from_bytes(self._ranges[at : at + 8], "little")
            high = int.from_bytes(self._ranges[at + 8 : at + 16], "little")
            at += 16
            if low == (1 << 64) - 1:
                base = high
            elif not low and not high:
                return
            elif low < high:
                yield base + low, base + high

    def _listed_ranges(
        self, unit: Unit, form: int, at: int, base: int
    ) -> Iterator[tuple[int, int]]:
        """``.debug_rnglists``, DWARF 5 section 7.25."""
        data, (_, top, _) = self._range_lists, self.entry(unit, unit.first)
        if form == F_RNGLISTX:
            start = int(top[RNGLISTS_BASE][1])
            at = start + int.from_bytes(data[start + 4 * at : start + 4 * at + 4], "little")
        table = int(top[ADDR_BASE][1]) if ADDR_BASE in top else 0
        while True:
            kind = data[at]
            at += 1
            if not kind:
                return
            low = high = 0
            if kind in (1, 2, 3):  # base_addressx, startx_endx, startx_length
                index, at = number_at(data, at)
                low = self._indexed(table, index)
            elif kind in (5, 6, 7):  # base_address, start_end, start_length
                low, at = int.from_bytes(data[at : at + 8], "little"), at + 8
            elif kind == 4:  # offset_pair
                low, at = number_at(data, at)
                low += base
            else:
                raise BadDwarfError(f"a range of kind {kind}")
            if kind in (1, 5):
                base = low
                continue
            if kind == 6:
                high, at = int.from_bytes(data[at : at + 8], "little"), at + 8
            else:
                high, at = number_at(data, at)
                if kind == 2:
                    high = self._indexed(table, high)
                else:
                    high += base if kind == 4 else low
            if low < high:
                yield low, high


def text_at(strings: Bytes, offset: int) -> bytes:
    """The string at an offset."""
    end = offset + 32
    while (text := bytes(strings[offset:end])).find(b"\0") < 0 and end < len(strings):
        end += 480
    return text.partition(b"\0")[0]

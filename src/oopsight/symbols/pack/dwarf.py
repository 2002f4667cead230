"""DWARF 4 with the same contents as BTF, for a reader that knows only DWARF.

Every entry's attributes have forms of fixed size, so that where each entry lies is a running sum,
and all entries of one shape are written at once as the rows of an array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oopsight.symbols.pack import btf as b
from oopsight.symbols.pack.btf import Array, BadBtfError, Btf

# DWARF 4, section 7.5: tags, attributes, forms, encodings, operations.
(ARRAY_TYPE, ENUMERATION_TYPE, FORMAL_PARAMETER, MEMBER, POINTER_TYPE) = (1, 4, 5, 0xD, 0xF)
(COMPILE_UNIT, STRUCTURE_TYPE, SUBROUTINE_TYPE, TYPEDEF, UNION_TYPE) = (
    0x11,
    0x13,
    0x15,
    0x16,
    0x17,
)
(UNSPECIFIED_PARAMETERS, SUBRANGE_TYPE, BASE_TYPE, CONST_TYPE) = (0x18, 0x21, 0x24, 0x26)
(ENUMERATOR, SUBPROGRAM, VARIABLE, VOLATILE_TYPE, RESTRICT_TYPE) = (0x28, 0x2E, 0x34, 0x35, 0x37)
(SIBLING, LOCATION, NAME, BYTE_SIZE, BIT_SIZE, LOW_PC) = (1, 2, 3, 0xB, 0xD, 0x11)
(LANGUAGE, CONST_VALUE, PRODUCER, PROTOTYPED, COUNT) = (0x13, 0x1C, 0x25, 0x27, 0x37)
(MEMBER_LOCATION, DECLARATION, ENCODING, TYPE, DATA_BIT_OFFSET) = (0x38, 0x3C, 0x3E, 0x49, 0x6B)
(F_ADDR, F_DATA4, F_DATA1, F_SDATA, F_STRP, F_UDATA) = (0x01, 0x06, 0x0B, 0x0D, 0x0E, 0x0F)
(F_REF_ADDR, F_REF4, F_EXPRLOC, F_FLAG_PRESENT) = (0x10, 0x13, 0x18, 0x19)
_C11 = 0x1D
_OP_ADDR = 3
(_BOOLEAN, _FLOAT, _SIGNED, _SIGNED_CHAR, _UNSIGNED, _UNSIGNED_CHAR) = (2, 4, 5, 6, 7, 8)
_CHARS = ("char", "signed char", "unsigned char")
_BTF_SIGNED, _BTF_BOOL = 1, 4

_POINTER_SIZE = 8
_HEADER = 11
_END = b"\0"
_ROWS_AT_ONCE = 1 << 16
_DEEPEST_TAGS = 16

Columns = tuple[tuple[str, str, int, int], ...]
"""Of a shape: name, numpy type, attribute, form."""

_NAME: Columns = (("name", "<u4", NAME, F_STRP),)
# A place in the section, since there are two units; siblings are within one.
_TYPE: Columns = (("type", "<u4", TYPE, F_REF_ADDR),)
_SIZE1: Columns = (("size", "u1", BYTE_SIZE, F_DATA1),)
_SIZE4: Columns = (("size", "<u4", BYTE_SIZE, F_DATA4),)
_SIBLING: Columns = (("sibling", "<u4", SIBLING, F_REF4),)
_VALUE5 = ("value", "V5", CONST_VALUE)
_VALUE10 = ("value", "V10", CONST_VALUE)


class Shape:
    """Entries with the same tag and attributes: one abbreviation, one row layout."""

    all: list[Shape] = []  # noqa: RUF012  # the abbreviation table, in the order of the codes

    def __init__(
        self, tag: int, *columns: Columns, children: bool = False, flags: Sequence[int] = ()
    ) -> None:
        self.columns = [column for group in columns for column in group]
        self.tag, self.children, self.flags = tag, children, flags
        self.row = np.dtype([("code", "u1"), *((name, kind) for name, kind, _, _ in self.columns)])
        self.size = self.row.itemsize
        self.all.append(self)
        self.code = len(self.all)

    def abbreviation(self) -> bytes:
        """Its entry in ``.debug_abbrev``; every number here is below 128."""
        pairs = [(attribute, form) for _, _, attribute, form in self.columns]
        pairs += [(flag, F_FLAG_PRESENT) for flag in self.flags]
        flat = [part for pair in pairs for part in pair]
        return bytes([self.code, self.tag, self.children, *flat, 0, 0])

    def rows(self, count: int, /, **values: Any) -> Array:
        """As many entries, filled by column."""
        result = np.zeros(count, self.row)
        result["code"] = self.code
        for name, value in values.items():
            result[name] = value
        return result


UNIT = Shape(
    COMPILE_UNIT,
    (("producer", "<u4", PRODUCER, F_STRP), ("language", "u1", LANGUAGE, F_DATA1)),
    _NAME,
    children=True,
)
BASE = Shape(BASE_TYPE, _NAME, _SIZE1, (("encoding", "u1", ENCODING, F_DATA1),))
POINTER = Shape(POINTER_TYPE, _SIZE1, _TYPE)
POINTER_TO_VOID = Shape(POINTER_TYPE, _SIZE1)
ARRAY = Shape(ARRAY_TYPE, _TYPE, children=True)
RANGE = Shape(SUBRANGE_TYPE, (("count", "<u4", COUNT, F_DATA4),))
OPEN_RANGE = Shape(SUBRANGE_TYPE)
COMPOUNDS = {
    kind: (
        Shape(tag, _SIZE4, _SIBLING, children=True),
        Shape(tag, _NAME, _SIZE4, _SIBLING, children=True),
    )
    for kind, tag in ((b.STRUCT, STRUCTURE_TYPE), (b.UNION, UNION_TYPE))
}
_AT: Columns = (("offset", "<u4", MEMBER_LOCATION, F_DATA4),)
MEMBER_UNNAMED = Shape(MEMBER, _TYPE, _AT)
MEMBER_NAMED = Shape(MEMBER, _NAME, _TYPE, _AT)
MEMBER_BITS = Shape(
    MEMBER,
    _NAME,
    _TYPE,
    (("bits", "u1", BIT_SIZE, F_DATA1), ("offset", "<u4", DATA_BIT_OFFSET, F_DATA4)),
)
ENUMERATION = Shape(ENUMERATION_TYPE, _SIZE1, children=True)
ENUMERATION_NAMED = Shape(ENUMERATION_TYPE, _NAME, _SIZE1, children=True)
ENUMERATION_TYPED = Shape(ENUMERATION_TYPE, _SIZE1, _TYPE, children=True)
ENUMERATION_NAMED_TYPED = Shape(ENUMERATION_TYPE, _NAME, _SIZE1, _TYPE, children=True)
# By whether they are signed, for 4 and 8 bytes: LEB128 padded to its greatest length.
ENUMERATORS = {
    b.ENUM: [Shape(ENUMERATOR, _NAME, ((*_VALUE5, form),)) for form in (F_UDATA, F_SDATA)],
    b.ENUM64: [Shape(ENUMERATOR, _NAME, ((*_VALUE10, form),)) for form in (F_UDATA, F_SDATA)],
}
FORWARDS = [
    Shape(tag, _NAME, flags=(DECLARATION,))
    for tag in (STRUCTURE_TYPE, UNION_TYPE, ENUMERATION_TYPE)
]
ALIAS_OF_VOID = Shape(TYPEDEF, _NAME)
ALIAS = Shape(TYPEDEF, _NAME, _TYPE)
QUALIFIERS = {
    kind: (Shape(tag), Shape(tag, _TYPE))
    for kind, tag in (
        (b.CONST, CONST_TYPE),
        (b.VOLATILE, VOLATILE_TYPE),
        (b.RESTRICT, RESTRICT_TYPE),
    )
}
PROTOTYPES = (
    Shape(SUBROUTINE_TYPE, _SIBLING, children=True, flags=(PROTOTYPED,)),
    Shape(SUBROUTINE_TYPE, _TYPE, _SIBLING, children=True, flags=(PROTOTYPED,)),
)
_PC: Columns = (("low_pc", "<u8", LOW_PC, F_ADDR),)
FUNCTIONS = (
    Shape(SUBPROGRAM, _NAME, _PC, _SIBLING, children=True, flags=(PROTOTYPED,)),
    Shape(SUBPROGRAM, _NAME, _PC, _TYPE, _SIBLING, children=True, flags=(PROTOTYPED,)),
)
PARAMETER = Shape(FORMAL_PARAMETER, _TYPE)
PARAMETER_NAMED = Shape(FORMAL_PARAMETER, _NAME, _TYPE)
MORE_PARAMETERS = Shape(UNSPECIFIED_PARAMETERS)
VARIABLE_AT = Shape(
    VARIABLE,
    _NAME,
    _TYPE,
    # The expression's length, then DW_OP_addr and the address: one form, three columns.
    (("length", "u1", LOCATION, F_EXPRLOC),),
)
_VARIABLE_ROW = np.dtype([*VARIABLE_AT.row.descr, ("op", "u1"), ("address", "<u8")])


def abbreviations() -> bytes:
    """``.debug_abbrev``."""
    return b"".join(shape.abbreviation() for shape in Shape.all) + b"\0"


class Writer:
    """``.debug_info`` and ``.debug_str`` of one BTF and of what is known beside it.

    There are two units, of types and of what is added, because drgn reads units in parallel. Types
    have the numbers of BTF; :meth:`pointer_to` and :meth:`array_of` add more.
    """

    def __init__(self, types: Btf) -> None:
        """Lay out and write all types.

        :param types: the kernel's BTF; its numbers begin with 1
        :raises BadBtfError: if a type refers to one that does not exist
        """
        self._types = types
        self._strings = bytearray(types.strings)
        self._string_at: dict[str, int] = {}
        self._tail: list[bytes] = []
        self._derived: dict[tuple[Any, ...], int] = {}
        self._start = _HEADER + UNIT.size
        self._resolve()
        self._lay_out()
        self._write()
        self._second = self._start + len(self._out) + len(_END)
        self._end = self._second + _HEADER + UNIT.size

    # Numbers and places ---------------------------------------------------------------------------

    def _resolve(self) -> None:
        """What each number stands for once tags are passed over; 0 for what is no type."""
        kinds, refs = self._types.kind, self._types.ref
        count = len(kinds)
        target = np.arange(count + 1)
        tags = self._types.rows(b.TYPE_TAG) + 1
        target[tags] = self._checked(refs[tags - 1])
        for _ in range(_DEEPEST_TAGS):
            target = target[target]
        no_type = self._types.rows(b.FUNC, b.VAR, b.DATASEC, b.DECL_TAG, b.TYPE_TAG) + 1
        target[np.isin(target, no_type)] = 0
        self._target = target

    def _checked(self, numbers: Array) -> Array:
        numbers = numbers.astype(np.int64)
        if len(numbers) and int(numbers.max()) > len(self._types.kind):
            raise BadBtfError("BTF: a type refers to one that does not exist")
        return numbers

    def _place(self, numbers: Array) -> Array:
        """Where the types lie in the unit; 0 for ``void``."""
        return self._place_of[self._target[self._checked(numbers)]]

    def place(self, number: int) -> int:
        """Where a type lies in the unit; 0 for ``void``."""
        return int(self._place_of[self._target[number]])

    def _is_void(self, numbers: Array) -> Array:
        result: Array = self._target[self._checked(numbers)] == 0
        return result

    def _children(self, rows: Array, words: int) -> tuple[Array, Array]:
        """First word of every member of these types, and which type each belongs to.

        :return: indices into the words, indices into ``rows``
        """
        t = self._types
        count = t.vlen[rows]
        owner = np.repeat(np.arange(len(rows)), count)
        before = np.cumsum(count) - count
        nth = np.arange(len(owner)) - before[owner]
        return t.at[rows][owner] + 3 + words * nth, owner

    def _lay_out(self) -> None:
        t = self._types
        size = np.zeros(len(t.kind), np.int64)
        self._void = self._is_void(np.where(np.isin(t.kind, list(_REFER)), t.ref, 0))
        named = t.name_at != 0
        size[t.rows(b.INT, b.FLOAT)] = BASE.size

        def choose(kinds: Sequence[int], condition: Array, yes: Shape, no: Shape) -> None:
            rows = t.rows(*kinds)
            size[rows] = np.where(condition[rows], yes.size, no.size)

        choose([b.PTR], self._void, POINTER_TO_VOID, POINTER)
        choose([b.TYPEDEF], self._void, ALIAS_OF_VOID, ALIAS)
        for kind, (of_void, other) in QUALIFIERS.items():
            choose([kind], self._void, of_void, other)
        choose([b.FUNC_PROTO], self._void, *PROTOTYPES)
        for kind, (unnamed, with_name) in COMPOUNDS.items():
            choose([kind], named, with_name, unnamed)
        size[t.rows(b.FWD)] = FORWARDS[0].size
        self._lay_out_arrays(size)
        self._lay_out_compounds(size)
        self._lay_out_enumerations(size, named)
        self._lay_out_prototypes(size)
        ends = np.cumsum(size)
        self._place_of = np.concatenate(([0], self._start + ends - size))
        self._size = size
        self._out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)

    def _lay_out_arrays(self, size: Array) -> None:
        t = self._types
        rows = t.rows(b.ARRAY)
        self._count = t.words[t.at[rows] + 5]
        ranged = np.where(self._count == 0, OPEN_RANGE.size, RANGE.size)
        size[rows] = ARRAY.size + ranged + 1

    def _lay_out_compounds(self, size: Array) -> None:
        t = self._types
        rows = t.rows(b.STRUCT, b.UNION)
        word, owner = self._children(rows, 3)
        raw = t.words[word + 2].astype(np.int64)
        flagged = t.kflag[rows][owner]
        self._bits = np.where(flagged, raw >> 24, 0)
        self._bit_at = np.where(flagged, raw & 0xFFFFFF, raw)
        unnamed = (t.words[word] == 0) & (self._bits == 0)
        each = np.where(unnamed, MEMBER_UNNAMED.size, MEMBER_NAMED.size)
        each[self._bits != 0] = MEMBER_BITS.size
        self._members = (rows, word, owner, each)
        size[rows] += _sum_by(owner, each, len(rows)) + 1

    def _lay_out_enumerations(self, size: Array, named: Array) -> None:
        t = self._types
        # pahole before 1.24 did not say which enumerations are signed: then a negative value tells.
        rows = t.rows(b.ENUM)
        word, owner = self._children(rows, 2)
        self._signed = t.kflag.copy()
        if not t.kflag[t.rows(b.ENUM, b.ENUM64)].any():
            negative = rows[np.unique(owner[t.words[word + 1] >> 31 != 0])]
            self._signed[negative] = True
        self._enum_type = {
            (signed, of): self._base_type(signed=signed, size=of)
            for signed in (False, True)
            for of in (1, 2, 4, 8)
        }
        for row in t.rows(b.ENUM, b.ENUM64).tolist():
            if not t.vlen[row]:
                size[row] = FORWARDS[2].size
                continue
            typed = self._enum_type.get((bool(self._signed[row]), int(t.ref[row])), 0)
            shape = _enumeration_shape(named=bool(named[row]), typed=bool(typed))
            each = ENUMERATORS[int(t.kind[row])][0].size
            size[row] = shape.size + each * int(t.vlen[row]) + 1

    def _base_type(self, *, signed: bool, size: int) -> int:
        """Number of the C integer type of a size, by which GCC describes enumerations."""
        names = {1: "char", 2: "short int", 4: "int", 8: "long int"}
        name = names[size]
        name = f"signed {name}" if signed and size == 1 else name
        if not signed:
            spellings = {1: "unsigned char", 2: "short unsigned int", 4: "unsigned int"}
            name = spellings.get(size, "long unsigned int")
        t = self._types
        for row in t.rows(b.INT).tolist():
            if t.ref[row] == size and t.name(int(t.name_at[row])) == name:
                return int(row) + t.first
        return 0

    def _lay_out_prototypes(self, size: Array) -> None:
        t = self._types
        rows = t.rows(b.FUNC_PROTO)
        word, owner = self._children(rows, 2)
        each = np.where(t.words[word + 1] == 0, MORE_PARAMETERS.size, PARAMETER.size)
        size[rows] += _sum_by(owner, each, len(rows)) + 1
        self._parameters = (rows, word, owner, each)

    # Bytes ----------------------------------------------------------------------------------------

    def _put(self, at: Array, rows: Array) -> None:
        """Write rows at places in the unit."""
        _scatter(self._out, at - self._start, rows)

    def _write(self) -> None:
        t = self._types
        self._write_bases()
        for kind, shapes in (
            (b.PTR, (POINTER_TO_VOID, POINTER)),
            (b.TYPEDEF, (ALIAS_OF_VOID, ALIAS)),
            *QUALIFIERS.items(),
        ):
            rows = t.rows(kind)
            for void, shape in zip((True, False), shapes, strict=True):
                chosen = rows[self._void[rows] == void]
                values: dict[str, Any] = {} if void else {"type": self._place(t.ref[chosen])}
                if kind == b.PTR:
                    values["size"] = _POINTER_SIZE
                if kind == b.TYPEDEF:
                    values["name"] = t.name_at[chosen]
                self._put(self._place_of[chosen + 1], shape.rows(len(chosen), **values))
        forwards = t.rows(b.FWD)
        for union in (False, True):
            chosen = forwards[t.kflag[forwards] == union]
            rows = FORWARDS[union].rows(len(chosen), name=t.name_at[chosen])
            self._put(self._place_of[chosen + 1], rows)
        self._write_arrays()
        self._write_compounds()
        self._write_enumerations()
        self._write_prototypes()

    def _write_bases(self) -> None:
        t = self._types
        for row in t.rows(b.INT, b.FLOAT).tolist():
            name = t.name(int(t.name_at[row]))
            if t.kind[row] == b.FLOAT:
                encoding = _FLOAT
            else:
                flags = int(t.words[t.at[row] + 3]) >> 24 & 0xF
                signed, char = bool(flags & _BTF_SIGNED), name in _CHARS
                encoding = _SIGNED if signed else _UNSIGNED
                if char:
                    encoding = _SIGNED_CHAR if signed else _UNSIGNED_CHAR
                if flags & _BTF_BOOL:
                    encoding = _BOOLEAN
            rows = BASE.rows(1, name=t.name_at[row], size=t.ref[row], encoding=encoding)
            self._put(self._place_of[row + 1 : row + 2], rows)

    def _write_arrays(self) -> None:
        t = self._types
        rows = t.rows(b.ARRAY)
        place = self._place_of[rows + 1]
        element = self._place(t.words[t.at[rows] + 3])
        self._put(place, ARRAY.rows(len(rows), type=element))
        is_open = self._count == 0
        inside = place + ARRAY.size
        self._put(inside[is_open], OPEN_RANGE.rows(int(is_open.sum())))
        closed = ~is_open
        self._put(inside[closed], RANGE.rows(int(closed.sum()), count=self._count[closed]))

    def _write_compounds(self) -> None:
        t = self._types
        for kind, shapes in COMPOUNDS.items():
            rows = t.rows(kind)
            for named, shape in enumerate(shapes):
                chosen = rows[(t.name_at[rows] != 0) == bool(named)]
                place = self._place_of[chosen + 1]
                values = {"name": t.name_at[chosen]} if named else {}
                filled = shape.rows(
                    len(chosen),
                    size=t.ref[chosen],
                    sibling=place + self._size[chosen],
                    **values,
                )
                self._put(place, filled)
        rows, word, owner, each = self._members
        head = np.where(t.name_at[rows] != 0, *(s.size for s in COMPOUNDS[b.STRUCT][::-1]))
        place = self._child_places(rows, head, owner, each)
        name, kind_place = t.words[word], self._place(t.words[word + 1])
        bits = self._bits != 0
        unnamed = (name == 0) & ~bits
        plain = ~bits & ~unnamed
        at = self._bit_at // 8
        self._put(
            place[unnamed],
            MEMBER_UNNAMED.rows(int(unnamed.sum()), type=kind_place[unnamed], offset=at[unnamed]),
        )
        self._put(
            place[plain],
            MEMBER_NAMED.rows(
                int(plain.sum()), name=name[plain], type=kind_place[plain], offset=at[plain]
            ),
        )
        self._put(
            place[bits],
            MEMBER_BITS.rows(
                int(bits.sum()),
                name=name[bits],
                type=kind_place[bits],
                bits=self._bits[bits],
                offset=self._bit_at[bits],
            ),
        )

    def _child_places(self, rows: Array, head: Array, owner: Array, each: Array) -> Array:
        """Where children of varying size lie behind their owners' own attributes."""
        before = np.cumsum(each) - each
        counts = np.bincount(owner, minlength=len(rows))
        firsts = np.cumsum(counts) - counts
        origin = np.append(before, 0)[np.minimum(firsts, len(before))]
        result: Array = self._place_of[rows + 1][owner] + head[owner] + before - origin[owner]
        return result

    def _write_enumerations(self) -> None:
        t = self._types
        for kind, words in ((b.ENUM, 2), (b.ENUM64, 3)):
            rows = t.rows(kind)
            head = np.zeros(len(rows), np.int64)
            for index, row in enumerate(rows.tolist()):
                head[index] = self._write_enumeration(row)
            word, owner = self._children(rows, words)
            value = t.words[word + 1].astype(np.uint64)
            if kind == b.ENUM64:
                value |= t.words[word + 2].astype(np.uint64) << np.uint64(32)
            nth = np.arange(len(owner)) - (np.cumsum(t.vlen[rows]) - t.vlen[rows])[owner]
            for signed, shape in enumerate(ENUMERATORS[kind]):
                chosen = self._signed[rows][owner] == bool(signed)
                place = self._place_of[rows + 1][owner] + head[owner] + shape.size * nth
                number = value[chosen].astype(np.int64)
                if signed and kind == b.ENUM:
                    number = number.astype(np.uint32).view(np.int32).astype(np.int64)
                filled = shape.rows(int(chosen.sum()), name=t.words[word[chosen]])
                width = shape.row["value"].itemsize
                raw = filled.view(np.uint8).reshape(len(filled), shape.size)
                raw[:, -width:] = _leb128(number, width, signed=bool(signed))
                self._put(place[chosen], filled)

    def _write_enumeration(self, row: int) -> int:
        """Write its own attributes; return their size."""
        t = self._types
        place = self._place_of[row + 1 : row + 2]
        if not t.vlen[row]:
            self._put(place, FORWARDS[2].rows(1, name=t.name_at[row]))
            return FORWARDS[2].size
        size, named = int(t.ref[row]), bool(t.name_at[row])
        of = self._enum_type.get((bool(self._signed[row]), size), 0)
        shape = _enumeration_shape(named=named, typed=bool(of))
        values = {"name": t.name_at[row]} if named else {}
        if of:
            values["type"] = self._place_of[of]
        self._put(place, shape.rows(1, size=size, **values))
        return shape.size

    def _write_prototypes(self) -> None:
        t = self._types
        rows, word, owner, each = self._parameters
        head = np.zeros(len(rows), np.int64)
        for void, shape in zip((True, False), PROTOTYPES, strict=True):
            mask = self._void[rows] == void
            chosen = rows[mask]
            head[mask] = shape.size
            place = self._place_of[chosen + 1]
            values: dict[str, Any] = {} if void else {"type": self._place(t.ref[chosen])}
            sibling = place + self._size[chosen]
            self._put(place, shape.rows(len(chosen), sibling=sibling, **values))
        place = self._child_places(rows, head, owner, each)
        more = t.words[word + 1] == 0
        self._put(place[more], MORE_PARAMETERS.rows(int(more.sum())))
        kinds = self._place(t.words[word[~more] + 1])
        self._put(place[~more], PARAMETER.rows(len(kinds), type=kinds))

    # What is added ------------------------------------------------------------------------------

    def string(self, text: str) -> int:
        """Offset of a string, added if it is new."""
        if text not in self._string_at:
            self._string_at[text] = len(self._strings)
            self._strings += text.encode() + b"\0"
        return self._string_at[text]

    def _add(self, entry: bytes) -> int:
        place = self._end
        self._tail.append(entry)
        self._end += len(entry)
        return place

    def pointer_to(self, place: int) -> int:
        """A pointer to the type at a place; returns its own."""
        key = ("*", place)
        if key not in self._derived:
            shape = POINTER if place else POINTER_TO_VOID
            values = {"type": place} if place else {}
            rows = shape.rows(1, size=_POINTER_SIZE, **values)
            self._derived[key] = self._add(rows.tobytes())
        return self._derived[key]

    def qualified(self, kind: int, place: int) -> int:
        """The type at a place with ``const`` or ``volatile``: :data:`btf.CONST` ..."""
        key = (kind, place)
        if key not in self._derived:
            shape = QUALIFIERS[kind][place != 0]
            rows = shape.rows(1, type=place) if place else shape.rows(1)
            self._derived[key] = self._add(rows.tobytes())
        return self._derived[key]

    def array_of(self, place: int, lengths: tuple[int, ...]) -> int:
        """An array, outermost dimension first; a length of 0 is not known."""
        key = ("[]", place, lengths)
        if key not in self._derived:
            ranges = [
                RANGE.rows(1, count=length) if length else OPEN_RANGE.rows(1) for length in lengths
            ]
            parts = [ARRAY.rows(1, type=place), *ranges]
            entry = b"".join(part.tobytes() for part in parts) + b"\0"
            self._derived[key] = self._add(entry)
        return self._derived[key]

    def struct_of(self, size: int, members: Sequence[tuple[str, int, int]]) -> int:
        """A struct without a name.

        :param members: name, place of the type, offset in bytes
        """
        shape = COMPOUNDS[b.STRUCT][0]
        body = b"".join(
            MEMBER_NAMED.rows(1, name=self.string(name), type=place, offset=offset).tobytes()
            for name, place, offset in members
        )
        sibling = self._end - self._second + shape.size + len(body) + 1
        return self._add(shape.rows(1, size=size, sibling=sibling).tobytes() + body + b"\0")

    def add_variables(self, names: Sequence[int], places: Sequence[int], at: Array) -> None:
        """Variables: offsets of their names, places of their types, link-time addresses."""
        rows = np.zeros(len(names), _VARIABLE_ROW)
        rows["code"] = VARIABLE_AT.code
        rows["name"], rows["type"], rows["address"] = names, places, at
        rows["length"], rows["op"] = 9, _OP_ADDR
        self._add(rows.tobytes())

    def add_functions(self, rows: Array, at: Array) -> None:
        """Functions with their prototypes.

        :param rows: their positions in BTF
        :param at: their link-time addresses
        """
        t = self._types
        prototypes = self._checked(t.ref[rows]) - t.first
        good = (prototypes >= 0) & (t.kind[prototypes] == b.FUNC_PROTO)
        rows, at, prototypes = rows[good], at[good], prototypes[good]
        void = self._void[prototypes]
        word, owner = self._children(prototypes, 2)
        name, kind = t.words[word], t.words[word + 1]
        more, named = kind == 0, name != 0
        each = np.where(named, PARAMETER_NAMED.size, PARAMETER.size)
        each[more] = MORE_PARAMETERS.size
        head = np.where(void, FUNCTIONS[0].size, FUNCTIONS[1].size)
        size = head + _sum_by(owner, each, len(rows)) + 1
        ends = np.cumsum(size)
        place = ends - size
        out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
        for is_void, shape in zip((True, False), FUNCTIONS, strict=True):
            chosen = void == is_void
            values: dict[str, Any] = {}
            if not is_void:
                values["type"] = self._place(t.ref[prototypes[chosen]])
            filled = shape.rows(
                int(chosen.sum()),
                name=t.name_at[rows[chosen]],
                low_pc=at[chosen],
                sibling=self._end - self._second + ends[chosen],
                **values,
            )
            _scatter(out, place[chosen], filled)
        before = np.cumsum(each) - each
        counts = np.bincount(owner, minlength=len(rows))
        origin = np.append(before, 0)[np.cumsum(counts) - counts]
        child = (place + head)[owner] + before - origin[owner]
        _scatter(out, child[more], MORE_PARAMETERS.rows(int(more.sum())))
        for with_name, shape in ((True, PARAMETER_NAMED), (False, PARAMETER)):
            chosen = ~more & (named == with_name)
            values = {"name": name[chosen]} if with_name else {}
            filled = shape.rows(int(chosen.sum()), type=self._place(kind[chosen]), **values)
            _scatter(out, child[chosen], filled)
        self._add(out.tobytes())

    def sections(self) -> dict[str, bytes]:
        """The three sections."""
        units = self._unit(self._out.tobytes()) + self._unit(b"".join(self._tail))
        return {
            ".debug_info": units,
            ".debug_abbrev": abbreviations(),
            ".debug_str": bytes(self._strings),
        }

    def _unit(self, entries: bytes) -> bytes:
        producer, name = self.string("oopsight, from BTF and kallsyms"), self.string("vmlinux")
        head = UNIT.rows(1, producer=producer, language=_C11, name=name).tobytes()
        length = _HEADER - 4 + len(head) + len(entries) + len(_END)
        header = np.array([(length, 4, 0, 8)], "<u4,<u2,<u4,u1").tobytes()
        return header + head + entries + _END


_REFER = {b.PTR, b.TYPEDEF, b.VOLATILE, b.CONST, b.RESTRICT, b.FUNC_PROTO}


def _enumeration_shape(*, named: bool, typed: bool) -> Shape:
    if named:
        return ENUMERATION_NAMED_TYPED if typed else ENUMERATION_NAMED
    return ENUMERATION_TYPED if typed else ENUMERATION


def _scatter(out: Array, at: Array, rows: Array) -> None:
    """Copy rows to places in an array of bytes."""
    width = rows.dtype.itemsize
    raw = rows.view(np.uint8).reshape(len(rows), width)
    columns = np.arange(width, dtype=np.int32)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        out[at[part].astype(np.int32)[:, None] + columns] = raw[part]


def _sum_by(owner: Array, each: Array, count: int) -> Array:
    return np.bincount(owner, each, count).astype(np.int64)


def _leb128(numbers: Array, width: int, *, signed: bool) -> Array:
    """LEB128, padded to a width.

    :param numbers: ``int64``; read as unsigned where ``signed`` is false
    """
    shifts = np.arange(width) * 7
    values = numbers if signed else numbers.view(np.uint64)
    result = np.zeros((len(numbers), width), np.uint8)
    for column, shift in enumerate(shifts.tolist()):
        part = values >> values.dtype.type(min(shift, 63)) & values.dtype.type(0x7F)
        result[:, column] = part.astype(np.uint8) | (0x80 if column < width - 1 else 0)
    if signed is False and width == 10:
        result[:, 9] &= 1
    return result

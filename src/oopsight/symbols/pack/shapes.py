"""The shapes of DWARF 4 entries that types, functions and variables have in a pack.

Every attribute has a form of fixed size, so that entries of one shape are the rows of an array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oopsight.symbols.pack import btf as b
from oopsight.symbols.pack.btf import Array

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

POINTER_SIZE = 8

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
VARIABLE_ROW = np.dtype([*VARIABLE_AT.row.descr, ("op", "u1"), ("address", "<u8")])


def abbreviations() -> bytes:
    """``.debug_abbrev``."""
    return b"".join(shape.abbreviation() for shape in Shape.all) + b"\0"

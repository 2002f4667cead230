"""Where each type of a BTF lies in a unit of DWARF: a running sum of sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oopsight.symbols.pack import btf as b
from oopsight.symbols.pack.btf import Array, BadBtfError, Btf
from oopsight.symbols.pack.columns import sum_by
from oopsight.symbols.pack.shapes import (
    ALIAS,
    ALIAS_OF_VOID,
    ARRAY,
    BASE,
    COMPOUNDS,
    ENUMERATION,
    ENUMERATION_NAMED,
    ENUMERATION_NAMED_TYPED,
    ENUMERATION_TYPED,
    ENUMERATORS,
    FORWARDS,
    MEMBER_BITS,
    MEMBER_NAMED,
    MEMBER_UNNAMED,
    MORE_PARAMETERS,
    OPEN_RANGE,
    PARAMETER,
    POINTER,
    POINTER_TO_VOID,
    PROTOTYPES,
    QUALIFIERS,
    RANGE,
    UNIT,
    Shape,
)

HEADER = 11
_DEEPEST_TAGS = 16
_REFER = {b.PTR, b.TYPEDEF, b.VOLATILE, b.CONST, b.RESTRICT, b.FUNC_PROTO}


class TypeLayout:
    """Sizes and places of all types, by their numbers in BTF."""

    def __init__(self, types: Btf) -> None:
        """Lay out.

        :param types: the kernel's BTF; its numbers begin with 1
        :raises BadBtfError: if a type refers to one that does not exist
        """
        self._types = types
        self._start = HEADER + UNIT.size
        self._resolve()
        self._lay_out()

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
        size[rows] += sum_by(owner, each, len(rows)) + 1

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
            shape = enumeration_shape(named=bool(named[row]), typed=bool(typed))
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
        size[rows] += sum_by(owner, each, len(rows)) + 1
        self._parameters = (rows, word, owner, each)


def enumeration_shape(*, named: bool, typed: bool) -> Shape:
    """How an enumeration is written."""
    if named:
        return ENUMERATION_NAMED_TYPED if typed else ENUMERATION_NAMED
    return ENUMERATION_TYPED if typed else ENUMERATION

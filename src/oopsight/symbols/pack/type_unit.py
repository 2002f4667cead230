"""DWARF 4 with the same types as BTF, for a reader that knows only DWARF."""

from __future__ import annotations

from typing import Any

import numpy as np

from oopsight.symbols.pack import btf as b
from oopsight.symbols.pack.btf import Array, Btf
from oopsight.symbols.pack.columns import leb128, scatter
from oopsight.symbols.pack.shapes import (
    ALIAS,
    ALIAS_OF_VOID,
    ARRAY,
    BASE,
    COMPOUNDS,
    ENUMERATORS,
    FORWARDS,
    MEMBER_BITS,
    MEMBER_NAMED,
    MEMBER_UNNAMED,
    MORE_PARAMETERS,
    OPEN_RANGE,
    PARAMETER,
    POINTER,
    POINTER_SIZE,
    POINTER_TO_VOID,
    PROTOTYPES,
    QUALIFIERS,
    RANGE,
)
from oopsight.symbols.pack.type_layout import TypeLayout, enumeration_shape

(_BOOLEAN, _FLOAT, _SIGNED, _SIGNED_CHAR, _UNSIGNED, _UNSIGNED_CHAR) = (2, 4, 5, 6, 7, 8)
_CHARS = ("char", "signed char", "unsigned char")
_BTF_SIGNED, _BTF_BOOL = 1, 4


class TypeUnit(TypeLayout):
    """The unit's entries."""

    def __init__(self, types: Btf) -> None:
        """Lay out and write all types.

        :param types: the kernel's BTF; its numbers begin with 1
        :raises BadBtfError: if a type refers to one that does not exist
        """
        super().__init__(types)
        self._write()

    def _put(self, at: Array, rows: Array) -> None:
        """Write rows at places in the unit."""
        scatter(self._out, at - self._start, rows)

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
                    values["size"] = POINTER_SIZE
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
                raw[:, -width:] = leb128(number, width, signed=bool(signed))
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
        shape = enumeration_shape(named=named, typed=bool(of))
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

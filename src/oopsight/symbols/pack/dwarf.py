"""``.debug_info`` and ``.debug_str`` of a BTF, and of what is known beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oopsight.symbols.pack import btf as b
from oopsight.symbols.pack.btf import Array, Btf
from oopsight.symbols.pack.columns import scatter, sum_by
from oopsight.symbols.pack.shapes import (
    ARRAY,
    COMPOUNDS,
    FUNCTIONS,
    MEMBER_NAMED,
    MORE_PARAMETERS,
    OPEN_RANGE,
    PARAMETER,
    PARAMETER_NAMED,
    POINTER,
    POINTER_SIZE,
    POINTER_TO_VOID,
    QUALIFIERS,
    RANGE,
    UNIT,
    VARIABLE_AT,
    VARIABLE_ROW,
    abbreviations,
)
from oopsight.symbols.pack.type_layout import HEADER
from oopsight.symbols.pack.type_unit import TypeUnit

_C11 = 0x1D
_OP_ADDR = 3
_END = b"\0"


class Writer(TypeUnit):
    """Types have the numbers of BTF; :meth:`pointer_to` and :meth:`array_of` add more.

    There are two units, of types and of what is added, because drgn reads units in parallel.
    """

    def __init__(self, types: Btf) -> None:
        """Write all types.

        :param types: the kernel's BTF; its numbers begin with 1
        :raises BadBtfError: if a type refers to one that does not exist
        """
        super().__init__(types)
        self._strings = bytearray(types.strings)
        self._string_at: dict[str, int] = {}
        self._tail: list[bytes] = []
        self._derived: dict[tuple[Any, ...], int] = {}
        self._second = self._start + len(self._out) + len(_END)
        self._end = self._second + HEADER + UNIT.size

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
            rows = shape.rows(1, size=POINTER_SIZE, **values)
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
        rows = np.zeros(len(names), VARIABLE_ROW)
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
        size = head + sum_by(owner, each, len(rows)) + 1
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
            scatter(out, place[chosen], filled)
        before = np.cumsum(each) - each
        counts = np.bincount(owner, minlength=len(rows))
        origin = np.append(before, 0)[np.cumsum(counts) - counts]
        child = (place + head)[owner] + before - origin[owner]
        scatter(out, child[more], MORE_PARAMETERS.rows(int(more.sum())))
        for with_name, shape in ((True, PARAMETER_NAMED), (False, PARAMETER)):
            chosen = ~more & (named == with_name)
            values = {"name": name[chosen]} if with_name else {}
            filled = shape.rows(int(chosen.sum()), type=self._place(kind[chosen]), **values)
            scatter(out, child[chosen], filled)
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
        length = HEADER - 4 + len(head) + len(entries) + len(_END)
        header = np.array([(length, 4, 0, 8)], "<u4,<u2,<u4,u1").tobytes()
        return header + head + entries + _END

"""A module's own types, from the part of BTF that the module brings, as an ELF file of their own.

Such BTF counts on from the kernel's. What it takes of the kernel's is taken over as far as the
next struct, union or enumeration with a name, which is only declared: a reader finds it in the
kernel's types.
"""

from __future__ import annotations

import numpy as np

from oopsight.symbols.pack import btf as b
from oopsight.symbols.pack.btf import BadBtfError, Btf, parse_btf
from oopsight.symbols.pack.dwarf import Writer
from oopsight.symbols.pack.elf_image import ET_EXEC, Part, elf_image

_HEADER = 24
_NO_TYPES = (b.FUNC, b.VAR, b.DATASEC, b.DECL_TAG)
_REFERENCES = (b.PTR, b.TYPEDEF, b.VOLATILE, b.CONST, b.RESTRICT, b.TYPE_TAG, b.FUNC_PROTO)
# Words of each member, and which of them is a type; -1 is none.
_MEMBERS = {
    b.STRUCT: (3, 1),
    b.UNION: (3, 1),
    b.ENUM: (2, -1),
    b.ENUM64: (3, -1),
    b.FUNC_PROTO: (2, 1),
}
_MOST_TYPES = 200_000


def module_types(data: bytes, kernel: Btf) -> bytes:
    """Make the file.

    :param data: the module's BTF
    :raises BadBtfError: if it is malformed
    """
    split = parse_btf(data, kernel)
    whole = parse_btf(_Subset(split, kernel).data())
    sections = Writer(whole).sections()
    parts = [Part(name, contents) for name, contents in sections.items()]
    return elf_image(parts, (0x1000, 0x1000), kind=ET_EXEC)


class _Subset:
    """Types that refer to no others, numbered from 1."""

    def __init__(self, split: Btf, kernel: Btf) -> None:
        self._split, self._kernel = split, kernel
        self._strings = bytearray(b"\0")
        self._string_at: dict[str, int] = {"": 0}
        self._numbers: dict[int, int] = {0: 0}
        self._order: list[int] = []
        for row in range(len(split.kind)):
            if split.kind[row] not in _NO_TYPES:
                self._number(split.first + row)
        self._words: list[int] = []
        written = 0
        # What a type refers to is numbered while it is written.
        while written < len(self._order):
            self._write(self._order[written])
            written += 1

    def _number(self, old: int) -> int:
        if old not in self._numbers:
            if len(self._order) >= _MOST_TYPES:
                raise BadBtfError("BTF: a module with too many types")
            self._order.append(old)
            self._numbers[old] = len(self._order)
        return self._numbers[old]

    def _string(self, offset: int) -> int:
        split = self._split
        mine = offset >= split.string_base
        text = split.name(offset - split.string_base) if mine else self._kernel.name(offset)
        if text not in self._string_at:
            self._string_at[text] = len(self._strings)
            self._strings += text.encode() + b"\0"
        return self._string_at[text]

    def _write(self, old: int) -> None:
        own = old >= self._split.first
        t = self._split if own else self._kernel
        row = old - t.first
        if row >= len(t.kind):
            raise BadBtfError("BTF: a type refers to one that does not exist")
        at, kind = int(t.at[row]), int(t.kind[row])
        words = [int(word) for word in t.words[at : self._end(t, row)]]
        words[0] = self._string(words[0])
        if not own and words[0] and kind in (b.STRUCT, b.UNION, b.ENUM, b.ENUM64):
            self._words += _declared(kind, words)
            return
        if kind in _REFERENCES:
            words[2] = self._number(words[2])
        if kind == b.ARRAY:
            words[3:5] = self._number(words[3]), self._number(words[4])
        if kind in _NO_TYPES:
            # Nothing but another of these refers to one; a damaged table may.
            words = [words[0], b.FWD << 24, 0]
        each, place = _MEMBERS.get(kind, (len(words), -1))
        for member in range(3, len(words) if kind in _MEMBERS else 0, each):
            words[member] = self._string(words[member])
            if place > 0:
                words[member + place] = self._number(words[member + place])
        self._words += words

    @staticmethod
    def _end(t: Btf, row: int) -> int:
        return int(t.at[row + 1]) if row + 1 < len(t.at) else len(t.words)

    def data(self) -> bytes:
        """The types as BTF."""
        types = np.array(self._words, "<u4").tobytes()
        header = np.array([_HEADER, 0, len(types), len(types), len(self._strings)], "<u4")
        return b"\x9f\xeb\x01\x00" + header.tobytes() + types + bytes(self._strings)


def _declared(kind: int, words: list[int]) -> list[int]:
    """A declaration of a struct, union or enumeration."""
    if kind in (b.ENUM, b.ENUM64):
        return [words[0], b.ENUM << 24, words[2]]
    return [words[0], b.FWD << 24 | (kind == b.UNION) << 31, 0]

"""The types of variables that BTF does not hold, from a table that is checked in.

``variables.txt`` is made by ``tools/variable_types.py`` from kernels with debug information. Lines
``TYPE: NAME NAME ...`` stand under ``@ SERIES ...``, the release series in which the variables have
that type. A type is written from the outside in::

    struct list_head                 by the name that BTF knows
    *const char                      a pointer to it
    [4]struct rq                     an array of it, [0] of unknown length
    {16;0 lock spinlock_t;8 n long}  a struct without a name: size; offset, name, type of a member

The line ``labels`` names symbols that lie within a function and are none themselves, such as
``entry_SYSCALL_64_after_hwframe``, which kallsyms cannot tell from functions.

A kernel's series is looked up between the nearest series that were checked: where both have the
variable they must agree; outside of all that were checked, all must. Then the type must fit into
the room that the dump's own symbol table leaves for the variable, and fill it unless the series is
one that was checked; or the entry is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate
from typing import Protocol

import numpy as np

from oopsight.symbols.pack import btf as b
from oopsight.symbols.pack.btf import Btf
from oopsight.symbols.pack.dwarf import Writer

Series = tuple[int, int]
_KINDS = {"struct": (b.STRUCT,), "union": (b.UNION,), "enum": (b.ENUM, b.ENUM64)}
_PLAIN = (b.TYPEDEF, b.INT, b.FLOAT)
_WORD = re.compile(r"(struct|union|enum)? ?([\w ]+)$")
# C's spellings and DWARF's, which BTF has too.
_SPELLINGS = {
    "short": "short int",
    "unsigned short": "short unsigned int",
    "long": "long int",
    "unsigned long": "long unsigned int",
    "long long": "long long int",
    "unsigned long long": "long long unsigned int",
}
_POINTER = 8
_PAGE = 4096
_DEEPEST = 64


class Symbols(Protocol):
    """What is needed of the symbol table."""

    def find(self, name: str) -> tuple[int, int] | None:
        """Link-time address and room of a symbol that occurs once."""


@dataclass(frozen=True)
class VariableTypes:
    """The table: of each variable its type in each series that was checked."""

    checked: tuple[Series, ...]
    types: dict[str, dict[Series, str]]
    labels: frozenset[str] = frozenset()

    def of(self, series: Series) -> dict[str, str]:
        """Types that can be believed of a kernel of a series."""
        below = max((s for s in self.checked if s <= series), default=None)
        above = min((s for s in self.checked if s >= series), default=None)
        outside = below is None or above is None
        found = {}
        for name, by_series in self.types.items():
            if outside:
                if len(by_series) < len(self.checked):
                    continue
                choices = set(by_series.values())
            else:
                choices = {by_series[s] for s in (below, above) if s in by_series}
            if len(choices) == 1:
                found[name] = choices.pop()
        return found


def series_of(release: str | None) -> Series | None:
    """Series of a release.

    >>> series_of("6.12.117+deb12-amd64")
    (6, 12)
    """
    match = re.match(r"(\d{1,3})\.(\d{1,3})", release or "")
    return (int(match[1]), int(match[2])) if match else None


@cache
def variable_types() -> VariableTypes:
    """Read the table."""
    text = resources.files(__package__).joinpath("variables.txt").read_text(encoding="ascii")
    return parse_table(text)


def parse_table(text: str) -> VariableTypes:
    """Read a table's text."""
    checked: tuple[Series, ...] = ()
    where: tuple[Series, ...] = ()
    labels: frozenset[str] = frozenset()
    types: dict[str, dict[Series, str]] = {}
    for line in text.splitlines():
        if line.startswith(("checked ", "@ ")):
            found = tuple(s for s in map(series_of, line.split()[1:]) if s)
            if line.startswith("@"):
                where = found
            else:
                checked = found
        elif line.startswith("labels "):
            labels = frozenset(line.split()[1:])
        elif not line.startswith("#"):
            kind, _, names = line.rpartition(": ")
            for name in names.split():
                by_series = types.setdefault(name, {})
                for series in where:
                    by_series[series] = kind
    return VariableTypes(checked, types, labels)


class Resolver:
    """Finds the types of the table among BTF's."""

    def __init__(self, types: Btf, writer: Writer) -> None:
        self._types, self._writer = types, writer
        names = types.strings.split(b"\0")[:-1]
        ends = accumulate(len(name) + 1 for name in names)
        self.string_at = {name: end - len(name) - 1 for name, end in zip(names, ends, strict=True)}
        rows = types.rows(*_PLAIN, *(kind for kinds in _KINDS.values() for kind in kinds))
        rows = rows[(types.kind[rows] != b.ENUM) | (types.vlen[rows] != 0)]
        self._rows = rows[np.argsort(types.name_at[rows], kind="stable")]
        self._names = types.name_at[self._rows]
        self._known: dict[str, tuple[int, int] | None] = {}

    def of_variable(self, text: str, address: int, room: int, *, checked: bool) -> int | None:
        """Place of a variable's type; ``None`` where it is not known or does not fit the room.

        :param checked: the type is known of this very series, so that what is left over may be
            data without a name
        """
        open_ended = checked or self.open_ended(text)
        for array in ("[0]", "const [0]"):
            if text.startswith(array):
                # The debug information told no length, so that the room decides.
                element = self.resolve(text.removeprefix(array))
                length = room // element[1] if element and element[1] else 0
                text = f"{array[:-3]}[{length}]{text.removeprefix(array)}"
        kind = self.resolve(text)
        if kind is None or not fits(kind[1], address, room, open_ended=open_ended):
            return None
        return kind[0]

    def resolve(self, text: str) -> tuple[int, int] | None:
        """Place and size in bytes of a type; ``None`` where BTF has it not, or several of it.

        What has no size, such as a function's type, has 0.
        """
        if text not in self._known:
            self._known[text] = self._resolve(text)
        return self._known[text]

    def _resolve(self, text: str) -> tuple[int, int] | None:
        for qualifier, kind in (("const ", b.CONST), ("volatile ", b.VOLATILE)):
            if text.startswith(qualifier):
                inner = self.resolve(text.removeprefix(qualifier))
                return inner and (self._writer.qualified(kind, inner[0]), inner[1])
        if text == "void":
            return 0, 0
        if text.startswith("*"):
            inner = self.resolve(text[1:])
            return inner and (self._writer.pointer_to(inner[0]), _POINTER)
        if text.startswith("["):
            return self._array(text)
        if text.startswith("{"):
            return self._struct(text)
        return self._named(text)

    def _array(self, text: str) -> tuple[int, int] | None:
        lengths = []
        while text.startswith("["):
            number, _, text = text[1:].partition("]")
            lengths.append(int(number))
        element = self.resolve(text)
        if element is None or not element[1]:
            return None
        size = element[1]
        for length in lengths:
            size *= length
        return self._writer.array_of(element[0], tuple(lengths)), size

    def _struct(self, text: str) -> tuple[int, int] | None:
        size, *rows = text[1:-1].split(";")
        members, end = [], 0
        for row in rows:
            at, name, kind = row.split(" ", 2)
            offset, found = int(at), self.resolve(kind)
            if found is None or offset < end:
                return None  # a member has grown since, so that the offsets no longer hold
            end = offset + found[1]
            members.append((name, found[0], offset))
        if end > int(size):
            return None
        return self._writer.struct_of(int(size), members), int(size)

    def _named(self, text: str) -> tuple[int, int] | None:
        match = _WORD.match(text)
        row = self._row(match) if match else None
        if row is None:
            return None
        number = row + self._types.first
        return self._writer.place(number), self._size(number)

    def _row(self, match: re.Match[str]) -> int | None:
        """The one type of a name."""
        name = match[2] if match[1] else _SPELLINGS.get(match[2], match[2])
        at = self.string_at.get(name.encode())
        if at is None:
            return None
        kinds = _KINDS.get(match[1], _PLAIN)
        first, end = np.searchsorted(self._names, [at, at + 1])
        rows = [row for row in self._rows[first:end].tolist() if self._types.kind[row] in kinds]
        return int(rows[0]) if len(rows) == 1 else None

    def open_ended(self, text: str) -> bool:
        """Whether it is a struct whose last member is an array without a length."""
        match, t = _WORD.match(text), self._types
        row = self._row(match) if match else None
        if row is None or t.kind[row] != b.STRUCT or not t.vlen[row]:
            return False
        last = int(t.words[int(t.at[row]) + 3 * int(t.vlen[row]) + 1]) - t.first
        return 0 <= last < len(t.kind) and t.kind[last] == b.ARRAY and not t.words[t.at[last] + 5]

    def _size(self, number: int) -> int:
        """Bytes of a type, 0 where it has no size."""
        t, count = self._types, 1
        for _ in range(_DEEPEST):
            row = number - t.first
            if not 0 <= row < len(t.kind):
                return 0
            kind = t.kind[row]
            if kind in (b.INT, b.FLOAT, b.STRUCT, b.UNION, b.ENUM, b.ENUM64):
                return int(t.ref[row]) * count
            if kind == b.PTR:
                return _POINTER * count
            if kind == b.ARRAY:
                first = int(t.at[row])
                count *= int(t.words[first + 5])
                number = int(t.words[first + 3])
            elif kind in (b.TYPEDEF, b.CONST, b.VOLATILE, b.RESTRICT, b.TYPE_TAG):
                number = int(t.ref[row])
            else:
                return 0
        return 0


def fits(size: int, address: int, room: int, *, open_ended: bool = False) -> bool:
    """Whether a variable of a size explains the distance to the next symbol.

    What is left over can only be the padding that the next one's alignment asks for.

    :param open_ended: whether the type ends in an array of any length
    """
    if open_ended:
        return 0 < size <= room
    following = address + room
    alignment = min(following & -following, _PAGE)
    return 0 < size <= room and room - size < alignment


def add_variables(
    writer: Writer, types: Btf, symbols: Symbols, release: str | None, listed: AbstractSet[int]
) -> list[str]:
    """Write the variables that can be believed.

    :param listed: link-time addresses of those that BTF has told: the per-CPU variables, which
        kernels before 6.0 may leave out
    :return: names of variables that the kernel has and the table knows, but whose type cannot be
        believed of this kernel
    """
    table, series = variable_types(), series_of(release)
    believed, checked = table.of(series) if series else {}, series in table.checked
    resolver = Resolver(types, writer)
    names, places, at, untyped = [], [], [], []
    for name in table.types:
        symbol = symbols.find(name)
        if symbol is None or symbol[0] in listed:
            continue
        text = believed.get(name)
        place = resolver.of_variable(text, *symbol, checked=checked) if text else None
        if place is None:
            untyped.append(name)
            continue
        offset = resolver.string_at.get(name.encode())
        names.append(writer.string(name) if offset is None else offset)
        places.append(place)
        at.append(symbol[0])
    writer.add_variables(names, places, np.array(at, np.uint64))
    return untyped

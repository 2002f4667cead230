"""Stores to memory of numbers that stand in the code, or of some of their bits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from oopsight.evidence.modules.operand_keys import MASK

if TYPE_CHECKING:
    from oopsight.evidence.modules.code_values import Value

NUMBER = re.compile(r"-?(?:0x[0-9a-f]+|\d+)$")
BYTES = {"byte": 1, "word": 2, "dword": 4, "qword": 8}


class Put(NamedTuple):
    """A store of any kind."""

    end: int
    """Of the instruction."""
    key: int
    size: int
    """In bytes."""
    base: Value
    number: int
    mask: int = MASK
    """The bits that are set to those of the number; none where it is not known."""


class Bits:
    """What is known of numbers that the code makes of those in memory, by ``and`` and ``or``."""

    def __init__(self) -> None:
        self._known: dict[Value, tuple[Value, int, int]] = {}

    def after(self, mnemonic: str, before: Value, by: str, made: Value) -> Value:
        """Behind an instruction, which has made one value of another."""
        of, number, mask = self._known.get(before, (before, 0, 0))
        found = _bits(mnemonic, by)
        if found is not None and of.kind == "loaded":
            self._known[made] = (of, (number & ~found[1]) | found[0], mask | found[1])
        return made

    def stored(self, value: Value, where: tuple[int, Value | None]) -> tuple[int, int]:
        """Which bits of what is stored are known: of a number, or of what was there before."""
        if value.kind == "number":
            return value.number, MASK
        of, number, mask = self._known.get(value, (value, 0, 0))
        return (number, mask) if (of.kind, of.number, of.of) == ("loaded", *where) else (0, 0)


def _bits(mnemonic: str, by: str) -> tuple[int, int] | None:
    """The bits that an instruction sets, and those that are known then."""
    if mnemonic not in ("and", "or") or not NUMBER.fullmatch(by):
        return None
    number = int(by, 0) & MASK
    return (number, number) if mnemonic == "or" else (0, ~number & MASK)


def put(end: int, where: tuple[int, Value | None], place: str, known: tuple[int, int]) -> list[Put]:
    """A store of a number of which some bits are known."""
    key, base = where
    size = BYTES.get(place.partition(" ")[0])
    return [] if size is None or base is None else [Put(end, key, size, base, *known)]


def changed(
    end: int, where: tuple[int, Value | None], place: str, mnemonic: str, by: str
) -> list[Put]:
    """What is known of what an instruction leaves that reads memory and writes it."""
    return put(end, where, place, _bits(mnemonic, by) or (0, 0))

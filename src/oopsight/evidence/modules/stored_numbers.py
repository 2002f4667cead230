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


def put(end: int, where: tuple[int, Value | None], place: str, number: int | None) -> list[Put]:
    """A plain store; ``None`` for what does not stand in the code."""
    key, base = where
    size = BYTES.get(place.partition(" ")[0])
    if size is None or base is None:
        return []
    known = (0, 0) if number is None else (number, MASK)
    return [Put(end, key, size, base, *known)]


def changed(
    end: int, where: tuple[int, Value | None], place: str, mnemonic: str, by: str
) -> list[Put]:
    """What is known of what an instruction leaves that reads memory and writes it."""
    found = put(end, where, place, None)
    number = int(by, 0) & MASK if NUMBER.fullmatch(by) else None
    if number is None or mnemonic not in ("and", "or"):
        return found
    known = (number, number) if mnemonic == "or" else (0, ~number & MASK)
    return [Put(*one[:4], *known) for one in found]

"""What a function keeps on its own stack, as over a call.

Of variables whose address it hands on nothing is known: others may write there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oopsight.evidence.modules.code_values import Value

_SLOT = re.compile(r"(?:qword ptr )?\[rsp(?: \+ (?P<offset>0x[0-9a-f]+|\d+))?\]$")
_MOVES = ("push", "pop")


class Slots:
    """The values that were stored there last, in the order in which the code is read."""

    def __init__(self) -> None:
        self._values: dict[int, Value] = {}
        self._open: int | None = None
        """The lowest whose address was taken: those behind it may belong to the same variable."""

    def step(self, mnemonic: str, operands: str) -> None:
        """Any instruction: where the stack pointer moves, each slot is another."""
        first, _, second = operands.partition(", ")
        if mnemonic in _MOVES or first == "rsp":
            self._values, self._open = {}, None
        at = _offset(second) if mnemonic == "lea" else None
        if at is not None:
            self._open = at if self._open is None else min(at, self._open)

    def put(self, place: str, value: Value) -> None:
        """A store of eight bytes."""
        at = _offset(place) if place.startswith("qword") else None
        if at is not None:
            self._values[at] = value

    def get(self, place: str) -> Value | None:
        """What is read there, if that is known."""
        at = _offset(place) if place.startswith("qword") else None
        if at is None or (self._open is not None and at >= self._open):
            return None
        return self._values.get(at)


def _offset(place: str) -> int | None:
    found = _SLOT.fullmatch(place)
    return int(found["offset"] or "0", 0) if found is not None else None

"""Whether what a function stores beside a field is in memory, as if it had changed that last.

One that clears a pointer often sets a state with it. Where the object has another state, somebody
has been there since, or it was not that function. Counters do not tell: others move them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from oopsight.evidence.modules.code_values import Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_marks import Mark, marks_beside
from oopsight.kernel.addresses import signed

Read = Callable[[int, int], bytes | None]
"""Memory, by address and size."""


class Place(NamedTuple):
    """Behind an instruction that has to do with a field."""

    end: int
    key: int
    base: Value | None


def counted(uses: Mapping[str, FieldUse]) -> set[int]:
    """Keys of the fields that some function of a module counts in."""
    return {key for use in uses.values() for key in use.raises | use.lowers}


def belied(read: Read, use: FieldUse, places: Iterable[Place], at: int, moved: set[int]) -> bool:
    """Whether memory is otherwise than a function leaves it at each of some places of its code.

    :param places: where it stores to a field, or hands it to another
    :param at: the field's address
    :param moved: keys of fields that do not tell
    """
    found = [_lacking(read, use, place, at, moved) for place in places]
    return bool(found) and all(found)


def _lacking(read: Read, use: FieldUse, place: Place, at: int, moved: set[int]) -> bool:
    """Whether anything that is stored with the field is not there."""
    return any(
        signed(place.key) + mark.offset not in moved and not _is_there(read, mark, at)
        for mark in marks_beside(use.trail, *place)
    )


def stores(use: FieldUse, ends: Collection[int]) -> list[Place]:
    """The places where a function stores something, by the ends of the instructions."""
    return [
        Place(end, key, base)
        for end, (key, base) in zip(use.stored_at, use.written, strict=True)
        if end in ends
    ]


def _is_there(read: Read, mark: Mark, at: int) -> bool:
    memory = read(at + mark.offset, mark.size)
    return memory is None or mark.is_in(memory)

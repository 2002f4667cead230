"""Whether what a function stores beside a field is in memory, as if it had changed that last.

One that clears a pointer often sets a state with it. Where the object has another state, somebody
has been there since, or it was not that function. Counters do not tell: others move them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from oopsight.evidence.modules.code_values import signed
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_marks import Mark, marks_beside

Read = Callable[[int, int], bytes | None]
"""Memory, by address and size."""


def counted(uses: Mapping[str, FieldUse]) -> set[int]:
    """Keys of the fields that some function of a module counts in."""
    return {key for use in uses.values() for key in use.raises | use.lowers}


def belied(read: Read, use: FieldUse, ends: Iterable[int], at: int, moved: set[int]) -> bool:
    """Whether memory is otherwise than after each of a function's stores to a field.

    :param ends: of the instructions that store there
    :param at: the field's address
    :param moved: keys of fields that do not tell
    """
    found = [_lacking(read, use, end, at, moved) for end in ends]
    return bool(found) and all(found)


def _lacking(read: Read, use: FieldUse, end: int, at: int, moved: set[int]) -> bool:
    """Whether anything that is stored with the field, by one instruction, is not there."""
    stores = zip(use.stored_at, use.written, strict=True)
    for stored_at, (key, base) in stores:
        if stored_at != end:
            continue
        for mark in marks_beside(use.trail, end, key, base):
            if signed(key) + mark.offset not in moved and not _is_there(read, mark, at):
                return True
    return False


def _is_there(read: Read, mark: Mark, at: int) -> bool:
    memory = read(at + mark.offset, mark.size)
    return memory is None or mark.is_in(memory)

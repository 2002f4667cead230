"""One field, and how each function of a module comes to it.

The code names a field by its distance from a pointer. A function may have come to the object from
an outer one that it is part of, or from a member of it, as ``container_of()`` does; a variable is
named by its address, or as what an argument points to. So a field has several keys: by all of them
it is looked for, and where a function takes a lock beside it, by its distance from the lock.
"""

from __future__ import annotations

from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.code_values import key_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.plumbing import base_name

_LARGEST_OBJECT = 1 << 16
_AREA = 64
"""An area within an object that is an object of its own begins at least so far in it."""
_MASK = (1 << 64) - 1


class FieldKeys:
    """The keys of the field that a way's value was read from."""

    def __init__(self, way: Way, uses: dict[str, FieldUse]) -> None:
        self._text = _text_key(way)
        self._read_by = {field_key(way), self._text} - {None}
        self._reader = uses.get(base_name(way.function))
        self._known = _known(way, self._text, self._reader)

    def of(self, use: FieldUse) -> int | None:
        """The key by which a function has the field; ``None`` where the field has none."""
        beside = self._beside_lock(use)
        apart = self._reader is not None and not self._reader.locks & use.locks
        # Where their locks are at other distances, so is everything else.
        candidates = (*beside, *self._known) if apart else (*self._known, *beside)
        usual = self._known[0] if self._known else None
        return next((key for key in candidates if key in use.touches), usual)

    def compared(self, use: FieldUse) -> bool:
        """Whether a function compares with NULL what the field holds.

        By the keys that the reader's own code has: any other offset is often another object's.
        """
        return not use.checks.isdisjoint(self._read_by)

    def _beside_lock(self, use: FieldUse) -> list[int]:
        """Keys that are as far from a lock which the function takes as from one of the reader's."""
        if self._reader is None or self._text is None:
            return []
        return [
            (self._text - mine + its) & _MASK
            for mine in sorted(self._reader.locks)
            for its in sorted(use.locks)
        ]


def field_key(way: Way) -> int | None:
    """The field that a way's value was read from, as the code that read it names it.

    Of a variable its address.
    """
    if way.ended == "loaded" and way.held_in is not None and way.held_in.kind == "module":
        return int(way.held_in.address)
    return _text_key(way)


def _text_key(way: Way) -> int | None:
    if way.ended != "loaded" or way.end is None:
        return None
    return key_of(way.end.instruction.text.partition(", ")[2])


def _known(way: Way, text: int | None, reader: FieldUse | None) -> list[int]:
    """Keys that any function may have the field by, the likeliest first."""
    held = way.held_in
    found = [field_key(way), text]
    if held is not None and held.kind in ("slab", "module") and held.offset is not None:
        found.append(held.offset)
        if held.kind == "module" and text is not None:
            # The same field of an array's first element, from which a loop goes on.
            found.append(int(held.address) - held.offset + text)
    if text is not None and text < _LARGEST_OBJECT and reader is not None:
        found += [text - far for far in sorted(reader.inner) if _AREA <= far <= text]
    return [key for key in dict.fromkeys(found) if key is not None]

"""Numbers that a function stores in an object: before it frees it, or as it has made it.

They tell by its content whether an object can have been that function's.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence.modules.code_values import Reading, Value, signed, within
from oopsight.evidence.modules.known_calls import ALLOCATES

UNLINKED = 0xDEAD000000000122
"""LIST_POISON2 on x86-64, of list_del() and hlist_del()."""
_LARGEST_OBJECT = 8192
_WORD = 8
_LOWEST_CODE = 0xFFFFFFFF80000000


@dataclass(frozen=True)
class Mark:
    """A number that a function stores in an object on every way to the call that frees it."""

    offset: int
    size: int
    """In bytes."""
    value: int


def addresses_given(reading: Reading) -> Iterator[Mark]:
    """Addresses of the kernel's and modules' area, stored in what a call has allocated."""
    for _, key, size, base, number in reading.numbers:
        root, distance = within(base)
        fresh = (root.called or "").lstrip("_").startswith(ALLOCATES)
        if size == _WORD and fresh and number >= _LOWEST_CODE and number != UNLINKED:
            yield Mark(distance + signed(key), size, number)


def marks(reading: Reading, freed_at: int, freed: Value) -> tuple[Mark, ...]:
    """What is stored in memory before it is freed, however the code came to that call."""
    root, begin = within(freed)
    found: dict[int, Mark] = {}
    for at, key, size, base, number in reading.numbers:
        other, distance = within(base)
        offset = signed(key) + distance - begin
        if at > freed_at or other != root or not 0 <= offset < _LARGEST_OBJECT:
            continue
        if on_every_way(reading, at, freed_at):
            found[offset] = Mark(offset, size, number & ((1 << 8 * size) - 1))
    return tuple(found.values())


def on_every_way(reading: Reading, at: int, onwards: int) -> bool:
    """Whether what stands at a place is carried out on every way to another, further on."""
    return all(at <= source < onwards or not at <= to <= onwards for source, to in reading.jumps)

"""Numbers that a function stores in an object: before it frees it, as it makes it, beside others.

They tell by its content whether an object can have been that function's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.evidence.modules.code_values import Reading, Value, into_what, within
from oopsight.evidence.modules.counting import place_of
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.evidence.modules.operand_keys import MASK
from oopsight.evidence.modules.stored_numbers import Put
from oopsight.kernel.addresses import signed

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
    mask: int | None = None
    """The bits of it that are stored; ``None`` for all."""

    def is_in(self, memory: bytes) -> bool:
        """Whether those bytes are what it leaves."""
        if len(memory) != self.size:
            return False
        there = int.from_bytes(memory, "little")
        return (there if self.mask is None else there & self.mask) == self.value


@dataclass(frozen=True)
class Wiped:
    """Memory that is filled with zeros, or with what lies elsewhere."""

    size: int | None
    """In bytes, if that is known."""
    into: str | None
    """What had returned it, if that is new to the function."""
    key: int = 0
    """How far it is from what the function has a pointer to; of a variable its address."""
    source: int | None = None
    """The address of the variable that is copied there, if it is one."""

    def covers(self, keys: Iterable[int]) -> int | None:
        """How far within it the field is that has one of some keys."""
        inside = range(self.key, self.key + (self.size or 0) - _WORD + 1)
        return next((one - self.key for one in keys if one in inside), None)


class Trail(NamedTuple):
    """Which numbers a function stores in objects, and how its code goes on."""

    numbers: tuple[Put, ...] = ()
    jumps: tuple[tuple[int, int], ...] = ()
    """Within the function, from and to."""
    ends: tuple[int, ...] = ()
    """Where it is left."""
    calls: tuple[int, ...] = ()
    """Where it calls another, which may take its time."""


def filled(reading: Reading, *, copied: bool) -> Iterator[Wiped]:
    """What is filled as a whole, other than on the stack.

    :param copied: with what lies elsewhere, and not with zeros
    """
    known: list[tuple[Value, int | None, Value | None]]
    if copied:
        known = [(to, size, source) for to, source, size in reading.copied]
    else:
        known = [
            (to, size.number if size.kind == "number" else None, None) for to, size in reading.wiped
        ]
    for to, size, source in known:
        root, begin = within(to)[0], place_of(to)
        if root.kind == "stack":
            continue
        begin, length = (begin, size) if size else _to_last_zero(reading, root, begin)
        variable = source.number if source is not None and source.kind == "number" else None
        yield Wiped(length, into_what(to), begin, variable)


def _to_last_zero(reading: Reading, root: Value, begin: int) -> tuple[int, int | None]:
    """Where what is filled begins, and its size, if the first and last words are stored first.

    So compilers do it where the memory may begin at any address.
    """
    words = [
        offset
        for one, offset in _stored_in(reading.numbers, root)
        if one.size == _WORD and one.number == 0 and one.mask == MASK
    ]
    first = begin - _WORD
    if min(words, default=begin) != first or max(words) <= begin:
        return begin, None
    return first, max(words) + _WORD - first


def addresses_given(reading: Reading) -> Iterator[Mark]:
    """Addresses of the kernel's and modules' area, stored in what a call has allocated."""
    for one in reading.numbers:
        root, distance = within(one.base)
        fresh = (root.called or "").lstrip("_").startswith(ALLOCATES)
        address = one.number >= _LOWEST_CODE and one.number != UNLINKED
        if one.size == _WORD and fresh and address:
            yield Mark(distance + signed(one.key), one.size, one.number)


def marks(reading: Reading, freed_at: int, freed: Value) -> tuple[Mark, ...]:
    """What is stored in memory before it is freed, however the code came to that call."""
    root, begin = within(freed)
    return _left_in(
        (one, offset - begin)
        for one, offset in _stored_in(reading.numbers, root)
        if offset >= begin and one.end <= freed_at and on_every_way(reading, one.end, freed_at)
    )


def marks_beside(trail: Trail, end: int, key: int, base: Value | None) -> tuple[Mark, ...]:
    """What is stored in an object wherever a store to one of its fields is carried out.

    Before it, or behind it without a call in between, and nothing else there on any other way.
    Offsets are counted from that field.

    :param end: of the instruction that stores there
    """
    if base is None:
        return ()
    root, distance = within(base)
    begin = signed(key) + distance
    found, at_times = [], set()
    for one, offset in _stored_in(trail.numbers, root):
        if offset == begin:
            continue
        if (one.end < end and on_every_way(trail, one.end, end)) or _always(trail, end, one.end):
            found.append((one, offset - begin))
        else:
            at_times.add(offset - begin)
    return _left_in((one, offset) for one, offset in found if offset not in at_times)


def states_beside(trail: Trail, key: int, base: Value | None) -> set[int]:
    """How far from a field a function stores numbers, on whichever way, that are no pointers."""
    if base is None:
        return set()
    root, distance = within(base)
    return {
        offset - signed(key) - distance
        for one, offset in _stored_in(trail.numbers, root)
        if one.size < _WORD and one.number & one.mask
    }


def _stored_in(numbers: Iterable[Put], root: Value) -> Iterator[tuple[Put, int]]:
    """The stores to an object, and how far from its beginning."""
    for one in numbers:
        other, distance = within(one.base)
        if other == root:
            yield one, signed(one.key) + distance


def _left_in(stores: Iterable[tuple[Put, int]]) -> tuple[Mark, ...]:
    """What is known of what stores leave, one after another."""
    found: dict[int, Mark] = {}
    for one, offset in stores:
        if not -_LARGEST_OBJECT < offset < _LARGEST_OBJECT:
            continue
        whole = (1 << 8 * one.size) - 1
        number, mask = one.number & whole, one.mask & whole
        before = found.pop(offset, None)
        if not mask:
            continue
        if mask != whole and before is not None and before.size == one.size:
            number |= before.value & ~mask
            mask |= whole if before.mask is None else before.mask
        found[offset] = Mark(offset, one.size, number, None if mask == whole else mask)
    return tuple(found.values())


def on_every_way(code: Reading | Trail, at: int, onwards: int) -> bool:
    """Whether what stands at a place is carried out on every way to another, further on."""
    return all(at <= source < onwards or not at <= to <= onwards for source, to in code.jumps)


def _always(trail: Trail, at: int, onwards: int) -> bool:
    """Whether the code always comes from a place to another, further on."""
    return (
        at < onwards
        and not any(at <= end < onwards for end in (*trail.ends, *trail.calls))
        and all(not at <= source < onwards or at <= to < onwards for source, to in trail.jumps)
    )

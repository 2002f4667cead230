"""What becomes of a field on the ways through a function: cleared, left, freed after a store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from oopsight.evidence.modules.code_values import Reading, Value, within
from oopsight.evidence.modules.field_marks import on_every_way


class Ways(NamedTuple):
    """Where the code of a function can go on."""

    onwards: dict[int, list[int]]
    """By the address of an instruction; nowhere where the function is left."""
    ends: dict[int, int]
    """By where an instruction ends, where it begins."""


def always(reading: Reading, freed_at: int, freed: Value) -> bool:
    """Whether what a freed pointer was read from is freed on every way after it."""
    return any(
        not any(freed_at < end < at for end in reading.ends)
        and all(not freed_at < source < at or to <= at for source, to in reading.jumps)
        for at, value in reading.freed
        if value == freed.of and at > freed_at
    )


def cleared(reading: Reading, freed_at: int, freed: Value) -> bool:
    """Whether another pointer is stored where the freed one was, or none."""
    return any(
        key == freed.number
        and (value == Value("number", 0) or (at > freed_at and base == freed.of))
        for at, key, value, base in reading.stored
    )


def leaving(reading: Reading, ways: Ways) -> Iterator[tuple[int, Value]]:
    """What is put, or handed on, and stays on some ways in a field that stays as well."""
    gone = {within(one)[0] for _, one in (*reading.freed, *reading.put)}
    handed = [(call.at, call.arguments[0]) for call in reading.handed if call.own]
    for at, one in (*reading.put, *handed):
        kept = one.kind == "loaded" and one.of not in gone
        stored = any((key, base) == (one.number, one.of) for _, key, _, base in reading.stored)
        if kept and stored and left_at_times(reading, ways, at, one):
            yield at, one


def left_at_times(reading: Reading, ways: Ways, freed_at: int, freed: Value) -> bool:
    """Whether a way from a call leads out of the function past all stores to where that was."""
    before = [at for at, key, _, base in reading.stored if key == freed.number and base == freed.of]
    if any(on_every_way(reading, at, freed_at) for at in before if at <= freed_at):
        return False
    stores = {
        ways.ends.get(at)
        for at, key, _, base in reading.stored
        if key == freed.number and base == freed.of
    }
    onwards = reached(ways, ways.onwards.get(freed_at, ()), stores)
    return any(not ways.onwards[at] for at in onwards)


def reached(ways: Ways, begins: Iterable[int], past: Collection[int | None]) -> set[int]:
    """The instructions that the code comes to from some on, by none of others."""
    seen: set[int] = set()
    left = list(begins)
    while left:
        at = left.pop()
        if at not in seen and at not in past and at in ways.onwards:
            seen.add(at)
            left += ways.onwards[at]
    return seen


def stored_before(
    reading: Reading, ways: Ways, freed_at: int, freed: Value
) -> Iterator[tuple[int, Value | None]]:
    """Fields that a function has stored in what a call returned, on a way to where it frees it."""
    got = {call.at for call in reading.handed if call.result == freed}
    for end, key, value, base in reading.stored:
        root = within(base)[0] if base is not None else None
        if value == freed and root != freed and (root is None or root.kind != "stack"):
            others = {
                ways.ends.get(at)
                for at, other, _, into in reading.stored
                if (other, into) == (key, base) and at != end
            }
            if freed_at in reached(ways, [end], got | others):
                yield key, base

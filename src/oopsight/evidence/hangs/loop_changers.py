"""What functions of a module make of the numbers by which a loop ends.

Not a fact by itself: :mod:`oopsight.evidence.hangs.loop_state` asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from oopsight.evidence.hangs.conditions import NumberAt
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE
from oopsight.kernel.loop_ends import LoopEnd, stored_from
from oopsight.kernel.machine_code import (
    FRAME,
    MASK,
    Expression,
    Instruction,
    accessed_size,
    call_that_returned,
    direct_target,
    lowers,
    memory_place,
    stored_number,
    stores,
)

_FIRST = "rdi"
_COUNTS = ("inc", "dec", "add", "sub", "xadd")


class FieldAt(NamedTuple):
    """A number that ends the loop."""

    at: NumberAt
    size: int
    raw: bytes | None = None


class Changers(NamedTuple):
    """Functions by what they do to the numbers; as in :class:`LoopState`."""

    replaces: tuple[str, ...] = ()
    advances: tuple[str, ...] = ()
    unlimited: tuple[str, ...] = ()
    lowering: tuple[str, ...] = ()
    uneven: tuple[str, ...] = ()


def changers(
    code: Mapping[str, Function],
    function: Function,
    fields: list[FieldAt],
    end: LoopEnd,
    name_of: Callable[[int], str | None],
) -> Changers:
    """Look through the other functions of the module of one that loops.

    :param function: the one that loops
    :param name_of: names the function at an address
    """
    found: dict[bool, dict[str, None]] = {True: {}, False: {}}
    # What it calls on each turn is a part of it.
    called = {direct_target(row) for row in function.code.values() if row.mnemonic == "call"}
    ordered = sorted(code.items(), key=lambda one: one[1].start in called)
    loop = shape(function)
    for name, other in ordered:
        told = handed_alike(code.values(), function.start, other.start)
        for advances in changes(other, fields, loop, name_of, told=told):
            found[advances][name] = None
    limits = _limits(function, end)
    unlimited = (n for n, one in ordered if n in found[True] and not _is_limited(one, fields))
    steps = {name: steps_of(other, fields) for name, other in ordered}
    either = {*found[True], *found[False]}
    return Changers(
        # Who sets numbers of its own that are not there has not done so last.
        tuple(sorted(found[False], key=lambda name: sets_other_numbers(code[name], fields))),
        tuple(name for name in found[True] if name not in found[False]),
        tuple(unlimited) if limits else (),
        tuple(name for name, one in ordered if name in either and takes_away(one, fields)),
        tuple(_uneven(end.stride, steps)),
    )


def changes(
    function: Function,
    fields: Iterable[FieldAt],
    loop: dict[str, set[tuple[int, int]]],
    name_of: Callable[[int], str | None],
    *,
    told: bool = False,
) -> Iterator[bool]:
    """The stores of a function to fields: whether each only makes the next number of the last.

    Those to an object that the function has just made are left out, and those to an object in
    which it does not use what the loop's function uses too.

    :param loop: :func:`shape` of the loop's function
    :param name_of: names the function at an address
    :param told: whether it is handed the object that the loop's function is handed
    """
    own: dict[str, set[tuple[int, int]]] | None = None
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at)) if stores(row) else None
        if place is None or place.base == FRAME:
            continue
        size = accessed_size(row)
        met = [one for one in fields if one.size == size and one.at.may_be(place, [], function)]
        if not met or made_here(function, place, name_of):
            continue
        own = shape(function) if own is None else own
        same = place.base.startswith("[0x") and any(place == one.at.where for one in met)
        same = same or (told and place.base == _FIRST and place in {one.at.where for one in met})
        if place.base and not same and not _alike(own[place.base], met, loop):
            continue
        yield row.mnemonic in _COUNTS or _from_itself(function, row, place)


def uncounted(
    uses: Mapping[str, FieldUse], code: Mapping[str, Function], start: int
) -> tuple[str, ...]:
    """Who fills the place that a function has found, and does not look how many are in use.

    None where no other does, which counts them and compares the number with a limit.

    :param uses: of all functions of the module
    :param code: their code
    :param start: where the function begins
    """
    fills = {
        name: use.raises for name, use in uses.items() if name in code and _fills(code[name], start)
    }
    counting = {
        name for name, raises in fills.items() if any(_compares(code[name], key) for key in raises)
    }
    return tuple(name for name in fills if name not in counting) if counting else ()


def _fills(function: Function, start: int) -> bool:
    """Whether a function stores to what another has returned."""
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at)) if stores(row) else None
        site = call_that_returned(place) if place is not None else None
        if site is not None and direct_target(function.code[site]) == start:
            return True
    return False


def _compares(function: Function, key: int) -> bool:
    """Whether a function compares the number at a place with a limit of its own."""
    loaded: set[str] = set()
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at))
        there = place is not None and place.base != FRAME and place.offset == key
        limit = row.mnemonic == "cmp" and row.operands[1].type == IMMEDIATE
        if limit and (there or loaded & set(row.read)):
            return True
        loaded -= set(row.written)
        if there and row.mnemonic in ("mov", "movzx") and not stores(row):
            loaded |= set(row.written)
    return False


def handed_alike(code: Iterable[Function], one: int, other: int) -> bool:
    """Whether some function calls two others with the same object first.

    :param one: where the one begins
    """
    for function in code:
        handed: dict[int, set[Expression]] = {one: set(), other: set()}
        for at, row in function.code.items():
            target = direct_target(row) if row.mnemonic == "call" else None
            first = function.registers(at).get(_FIRST) if target in handed else None
            if target is not None and first is not None:
                handed[target].add(first)
        if handed[one] & handed[other]:
            return True
    return False


def sets_other_numbers(function: Function, fields: Iterable[FieldAt]) -> bool:
    """Whether all that a function puts into a field are numbers of its own, which are not there."""
    put = []
    for at, row in function.code.items():
        registers = function.registers(at)
        place = memory_place(row, registers) if stores(row) else None
        met = [one for one in fields if place and one.raw and one.at.may_be(place, [], function)]
        number = stored_number(row, registers) if met and row.mnemonic == "mov" else None
        there = [int.from_bytes(one.raw or b"", "little") for one in met]
        put += [number is not None and number & MASK != value for value in there]
    return bool(put) and all(put)


def shape(function: Function) -> dict[str, set[tuple[int, int]]]:
    """Where in memory a function reads and writes, by the pointer: offsets and sizes.

    What it calls others with, as a lock within the object, has no size.
    """
    found: dict[str, set[tuple[int, int]]] = {}
    for at, row in function.code.items():
        handed = function.registers(at).get("rdi") if row.mnemonic == "call" else None
        if handed is not None and handed.base not in ("", FRAME) and handed.offset:
            found.setdefault(handed.base, set()).add((handed.offset, 0))
        size = accessed_size(row)
        place = memory_place(row, function.registers(at)) if size is not None else None
        if place is not None and size is not None and place.base != FRAME:
            found.setdefault(place.base, set()).add((place.offset, size))
    return found


def _uneven(stride: int | None, steps: dict[str, frozenset[int]]) -> Iterator[str]:
    """Who goes on by a number that the loop's does not divide, where another keeps to that."""
    by = {name: one for name, one in steps.items() if one}
    uneven = [name for name, one in by.items() if stride and any(step % stride for step in one)]
    if len(uneven) < len(by):
        yield from uneven


def steps_of(function: Function, fields: Iterable[FieldAt]) -> frozenset[int]:
    """The constants by which a function goes on in what it makes of a field."""
    found: set[int] = set()
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at)) if stores(row) else None
        if place is not None and any(one.at.may_be(place, [], function) for one in fields):
            found |= stored_from(function, at).added
    return frozenset(found)


def takes_away(function: Function, fields: Iterable[FieldAt]) -> bool:
    """Whether a function takes from a field that is below zero, and keeps it within no limit."""
    below = [one for one in fields if one.raw is not None and one.raw[-1] >> 7]
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at)) if stores(row) else None
        if place is None or not any(one.at.may_be(place, [], function) for one in below):
            continue
        made = stored_from(function, at)
        taken = made.subtracts and any(read.place == place for read in made.reads)
        if not made.limited and (lowers(row, function.registers(at)) or taken):
            return True
    return False


def _limits(function: Function, end: LoopEnd) -> bool:
    """Whether a loop keeps within a limit what it counts in memory of what ends it."""
    places = {read.place for read in end.reads if read.place is not None}
    return any(
        stores(row)
        and memory_place(row, function.registers(at)) in places
        and stored_from(function, at).limited
        for at, row in function.code.items()
    )


def _is_limited(function: Function, fields: Iterable[FieldAt]) -> bool:
    """Whether a function keeps within a limit what it makes of a field, or begins it anew."""
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at)) if stores(row) else None
        if place is None or not any(one.at.may_be(place, [], function) for one in fields):
            continue
        number = stored_number(row, function.registers(at)) if row.mnemonic == "mov" else None
        if number is not None or stored_from(function, at).limited:
            return True
    return False


def _alike(
    own: set[tuple[int, int]], met: list[FieldAt], loop: dict[str, set[tuple[int, int]]]
) -> bool:
    """Whether an object is used as the loop's function uses the one with the field."""
    for one in met:
        there = loop.get(one.at.where.base, set())
        inside = one.at.inside if one.at.inside is not None else one.at.where.offset
        for away in {0, inside - one.at.where.offset}:
            moved = {((offset + away) & MASK, size) for offset, size in there}
            if len(own & moved) >= min(2, len(moved)):
                return True
    return False


def made_here(function: Function, place: Expression, name_of: Callable[[int], str | None]) -> bool:
    """Whether memory is of an object that the function has just allocated."""
    site = call_that_returned(place)
    row = function.code.get(site) if site is not None else None
    target = direct_target(row) if row is not None else None
    return target is not None and (name_of(target) or "").lstrip("_").startswith(ALLOCATES)


def _from_itself(function: Function, row: Instruction, place: Expression) -> bool:
    return any(read.place == place for read in stored_from(function, row.address).reads)

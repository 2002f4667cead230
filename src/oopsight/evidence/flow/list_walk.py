"""Where a walk along a list had read the pointer that it is at, where it keeps no entry before.

A loop over a list holds the entry that it has come to, and the head, to compare it with: there it
ends. The entry before was in the same register. But the list is still there: it is gone along from
its head to the entry that leads where the walk has come to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from oopsight.evidence.flow.effects import MASK, Copy, Load, Place
from oopsight.evidence.flow.instructions import Memory
from oopsight.evidence.flow.moves import Context, Definition, How, Move
from oopsight.evidence.flow.values import Values
from oopsight.kernel.addresses import in_kernel_half

_MOST_ENTRIES = 4096
_WORD = 8


class _Next(NamedTuple):
    """The instruction that goes on to the next entry."""

    at: int
    """By its index."""
    place: Place
    """What it loads to."""
    load: Load
    delta: int
    """From the pointer to the entry to what the loop has: what the entry lies in."""


def walked(
    values: Values, context: Context, place: Place, found: list[Definition], value: int | None
) -> tuple[Move, ...]:
    """The steps from what a loop has come to, to the entry that leads there; none where open.

    :param found: what may have given it to the place
    :param value: what the place holds
    """
    if value is None:
        return ()
    heads = set(_compared(context))
    steps = [(one, step) for one in found for step in _next(values, context, place, one)]
    for one, step in steps:
        entry = (value - step.delta) & MASK
        holding = {at for head in heads for at in _along(values, head, entry)}
        if len(holding) != 1:
            continue
        way = [] if one.index == step.at else [_counted(context, place, one, step, value)]
        loaded = Move(
            How.LOADED,
            context,
            step.at,
            step.place,
            None,
            entry,
            load=step.load,
            address=holding.pop(),
            found=entry,
            certain=False,
        )
        return (*way, loaded)
    return ()


def _next(values: Values, context: Context, place: Place, one: Definition) -> Iterator[_Next]:
    """How a definition goes on to the next entry, if it does so from what the place held."""
    what = one.effect
    if isinstance(what, Load):
        if _is_next(what.memory, place):
            yield _Next(one.index, place, what, 0)
    elif isinstance(what, Copy) and what.bits == 64 and what.source != place:
        for before in values.definitions(context.function, what.source, one.index) or ():
            load = before.effect
            if isinstance(load, Load) and _is_next(load.memory, place):
                yield _Next(before.index, what.source, load, what.delta)


def _is_next(memory: Memory, place: Place) -> bool:
    return memory.base == place and memory.index is None and memory.size == _WORD


def _counted(context: Context, place: Place, one: Definition, step: _Next, value: int) -> Move:
    return Move(How.COMPUTED, context, one.index, place, step.place, value, certain=False)


def _compared(context: Context) -> Iterator[int]:
    """Addresses that the code compares others with: a head, where the walk is to end."""
    for row in context.function.instructions:
        if row.mnemonic != "cmp":
            continue
        for one in row.operands:
            at = context.registers.get(one.register or "", one.immediate or 0) & MASK
            if in_kernel_half(at) and at % _WORD == 0:
                yield at


def _along(values: Values, head: int, entry: int) -> Iterator[int]:
    """Where along a list the pointer to an entry is, be it none."""
    at = head
    for _ in range(_MOST_ENTRIES):
        following = _read(values, at)
        if following == entry:
            yield at
        if following is None or following in (head, entry) or following % _WORD:
            return
        at = following


def _read(values: Values, at: int) -> int | None:
    return values.number(at & MASK, _WORD, signed_=False)

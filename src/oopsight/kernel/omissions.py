"""Ways through a function that do not come to what its other ways do, and what they store. x86-64.

``if (status & PARITY) { chip->errors++; return IRQ_HANDLED; }`` in a handler that else signals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE
from oopsight.kernel.loop_ends import came_from
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    accessed_size,
    direct_target,
    lowers,
    memory_place,
    stored_number,
    stores,
)

_RAISES = ("inc", "add", "xadd")


class Mark(NamedTuple):
    """What such a way stores in memory, and the others do not."""

    place: Expression
    size: int
    """In bytes."""
    number: int | None
    """What is there then; ``None``: one more than before."""


class Omission(NamedTuple):
    """Ways on which it is left out."""

    returns: int
    """Where one of them ends."""
    acts: bool
    """Whether they store anything that the others do not."""
    marks: tuple[Mark, ...]


def omission(
    function: Function, sites: Iterable[int], aside: Callable[[int], bool]
) -> Omission | None:
    """The ways from beginning to end that come to none of some instructions.

    :param aside: whether a jump to an address out of the code only leads to a part of it
    :return: ``None`` where all come to one
    """
    wanted = frozenset(sites)
    reached = _reached(function, [function.start], wanted)
    ends = [at for at in reached - wanted if _ends(function, function.code[at], aside)]
    if not ends:
        return None
    before = came_from(function)
    leading = closure(ends, before) & reached - wanted
    alone = leading - closure(wanted, before)
    changes = [function.code[at] for at in sorted(alone) if stores(function.code[at])]
    places = [(row, memory_place(row, function.registers(row.address))) for row in changes]
    shared = [(row, place) for row, place in places if place is None or place.base != FRAME]
    marks = [mark for row, place in shared if (mark := _mark(function, row, place)) is not None]
    return Omission(min(ends, key=lambda at: (at not in alone, at)), bool(shared), tuple(marks))


def _ends(function: Function, row: Instruction, aside: Callable[[int], bool]) -> bool:
    """Whether the function is left there."""
    if row.mnemonic == "ret":
        return True
    target = direct_target(row) if row.mnemonic == "jmp" else None
    return row.mnemonic == "jmp" and not function.ways(row) and not (target and aside(target))


def comes_to(function: Function, begin: int, end: int, stops: Iterable[int]) -> bool:
    """Whether the code can come from one address to another, past none of some others."""
    return end in _reached(function, [begin], frozenset(stops) - {end})


def _reached(function: Function, begin: list[int], stops: frozenset[int]) -> set[int]:
    seen: set[int] = set()
    ways = list(begin)
    while ways:
        at = ways.pop()
        if at in seen or at not in function.code:
            continue
        seen.add(at)
        if at not in stops:
            ways += function.ways(function.code[at])
    return seen


def closure(begin: Iterable[int], before: dict[int, list[int]]) -> set[int]:
    """All places from which the code can come to one of some.

    :param before: by a place, those from which it goes on there
    """
    seen: set[int] = set()
    ways = list(begin)
    while ways:
        at = ways.pop()
        if at not in seen:
            seen.add(at)
            ways += before.get(at, ())
    return seen


def _mark(function: Function, row: Instruction, place: Expression | None) -> Mark | None:
    size = accessed_size(row)
    if place is None or size is None:
        return None
    registers = function.registers(row.address)
    if row.mnemonic == "mov":
        number = stored_number(row, registers)
        mask = (1 << 8 * size) - 1
        return None if number is None else Mark(place, size, number & mask)
    one = len(row.operands) == 1 or row.operands[1].type == IMMEDIATE
    raises = row.mnemonic in _RAISES and one and not lowers(row, registers)
    return Mark(place, size, None) if raises else None

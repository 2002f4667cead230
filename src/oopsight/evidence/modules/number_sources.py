"""Where the number comes from that a function stores in a field, and what it must have been there.

Not a fact by itself: :mod:`oopsight.evidence.modules.able_writers` asks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from oopsight.evidence.corruption.index_limits import Root, Sum, operand_sum
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.checked_value import comparison_before
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import (
    Constant,
    Copy,
    Effect,
    Either,
    Load,
    Operation,
    Place,
    Returned,
    Slot,
    slot_of,
)
from oopsight.evidence.flow.instructions import Memory, Operand, whole_register

_MASK = (1 << 64) - 1
MOST_STEPS = 16
_LARGEST_VARIABLE = 64
WRAPPED = "wrapped"
FIELD: Root = ("field", 0)


class Number(NamedTuple):
    """What was found."""

    key: int
    """Of the field, as a function has it."""
    value: int
    size: int
    """In bytes."""
    others: tuple[tuple[int, int, int], ...] = ()
    """Of numbers that have to agree with it the same, as they are now."""


class Source(NamedTuple):
    """One of the numbers that may be stored, and what it must have been."""

    root: Root
    number: int
    decided: tuple[tuple[int, str, bool], ...] = ()
    """Comparisons, conditions, and whether they must have held."""


def taken(operand: Operand) -> Effect:
    """What a store takes from a register, or has as a constant."""
    register = whole_register(operand.register or "")
    return Copy(register) if register is not None else Constant((operand.immediate or 0) & _MASK)


def sources(
    calls: Calls, code: Function, what: Effect, at: int, wanted: int, number: Number, left: int
) -> Iterator[Source]:
    """Where a number can have come from, and what it was there; nothing where it cannot be."""
    mask = (1 << 8 * number.size) - 1
    wanted &= _MASK
    if isinstance(what, Constant):
        if (what.value - wanted) & mask == 0:
            yield Source(("constant", at), wanted)
    elif isinstance(what, Copy):
        if what.bits < 8 * number.size and not what.signed and (wanted & mask) >> what.bits:
            return
        yield from _of_place(
            calls, code, what.source, at, (wanted - what.delta) & _MASK, number, left
        )
    elif isinstance(what, Load):
        same = is_field(code, at, what.memory, number)
        other = other_number(code, at, what.memory, number)
        if other is None or (other - wanted) & mask == 0:
            yield Source(FIELD if same else ("load", at), wanted)
    elif isinstance(what, Returned):
        yield Source(("returned", at), wanted)
    elif isinstance(what, Either):
        yield from _of_either(calls, code, what, at, wanted, number, left)
    elif isinstance(what, Operation) and len(what.inputs) == 2:
        yield from _of_operation(calls, code, what, at, wanted, number, left)
    else:
        yield Source(("computed", at), wanted)


def _of_either(
    calls: Calls, code: Function, what: Either, at: int, wanted: int, number: Number, left: int
) -> Iterator[Source]:
    """Of one of two numbers, with what must have been decided."""
    row = code.instructions[at]
    compared = comparison_before(code, at) if row.mnemonic.startswith("cmov") else None
    for taken, held in ((what.first, False), (what.second, True)):
        for one in sources(calls, code, taken, at, wanted, number, left):
            if compared is None:
                yield one
            else:
                decided = (compared, row.mnemonic.removeprefix("cmov"), held)
                yield one._replace(decided=(*one.decided, decided))


def _of_operation(
    calls: Calls, code: Function, what: Operation, at: int, wanted: int, number: Number, left: int
) -> Iterator[Source]:
    """Of a number that was computed of another and a constant."""
    first, second = what.inputs
    by = second.value if isinstance(second, Constant) else None
    if by is not None and what.name in ("add", "sub"):
        before = wanted - by if what.name == "add" else wanted + by
        yield from sources(calls, code, first, at, before, number, left)
    elif what.name == "sub" and is_below_zero(number):
        roots = tuple(_root_of(calls, code, one, at, number) for one in what.inputs)
        known = None not in roots
        yield Source((WRAPPED, roots) if known else ("computed", at), wanted)
    elif by is not None and what.name in ("and", "or"):
        yield from _of_bits(calls, code, what, at, wanted, number)
    else:
        yield Source(("computed", at), wanted)


def _of_bits(
    calls: Calls, code: Function, what: Operation, at: int, wanted: int, number: Number
) -> Iterator[Source]:
    """Of a number of which bits were set or cleared, by a constant."""
    first, second = what.inputs
    mask = (1 << 8 * number.size) - 1
    by = second.value if isinstance(second, Constant) else 0
    others = wanted & ~by if what.name == "and" else by & ~wanted
    if others & mask:
        return
    if _root_of(calls, code, first, at, number) != FIELD:
        yield Source(("computed", at), wanted)
    elif what.name == "and" and wanted & mask:
        yield Source(FIELD, wanted)  # what only clears bits has set none
    else:
        yield Source(("constant", at), wanted)


def _of_place(
    calls: Calls, code: Function, place: Place, at: int, wanted: int, number: Number, left: int
) -> Iterator[Source]:
    """Of what a register or a slot of the frame holds before an instruction."""
    found = calls.tracer.definitions(code, place, at)
    if isinstance(place, Slot) and (not found or _is_lent(code, place)):
        yield Source(("slot", place.offset), wanted)
    elif not found or not left:
        yield Source(("computed", at), wanted)
    else:
        for one in found:
            if one.effect is None:
                yield Source(("entered", place), wanted)
            else:
                yield from sources(calls, code, one.effect, one.index, wanted, number, left - 1)


def _is_lent(code: Function, slot: Slot) -> bool:
    """Whether others have the address of a slot of the frame, as those that read a text."""
    for at, row in enumerate(code.instructions):
        memory = row.operands[1].memory if row.mnemonic == "lea" else None
        begin = slot_of(code, at, memory) if memory is not None else None
        if begin is not None and 0 <= slot.offset - begin.offset < _LARGEST_VARIABLE:
            return True
    return False


def is_below_zero(number: Number) -> bool:
    """Whether a number looks like one that was taken from, and had not as much."""
    return bool(number.value >> 8 * number.size - 1)


def single(side: Sum | None) -> Root | None:
    """What a number is, where nothing was added to it."""
    roots = list(side[1].items()) if side is not None and not side[0] else []
    return roots[0][0] if len(roots) == 1 and roots[0][1] == 1 else None


def _root_of(calls: Calls, code: Function, what: Effect, at: int, number: Number) -> Root | None:
    """What was taken, or taken from."""
    if isinstance(what, Copy) and isinstance(what.source, str) and not what.delta:
        return known(code, single(operand_sum(calls, code, what.source, at)), number)
    if isinstance(what, Load) and is_field(code, at, what.memory, number):
        return FIELD
    return None


def known(code: Function, root: Root | None, number: Number) -> Root | None:
    """The same; the field for what was read from it."""
    read = read_by(code, root)
    return FIELD if read is not None and is_field(code, *read, number) else root


def read_by(code: Function, root: Root | None) -> tuple[int, Memory] | None:
    """The instruction that read a number from memory, and where."""
    if root is None or root[0] != "load" or not isinstance(root[1], int):
        return None
    read = next((one.memory for one in code.instructions[root[1]].operands if one.memory), None)
    return (root[1], read) if read is not None else None


def other_number(code: Function, at: int, memory: Memory, number: Number) -> int | None:
    """What is read there, if it is a number that has to agree with the field."""
    found = (
        value
        for key, value, size in number.others
        if is_field(code, at, memory, Number(key, value, size))
    )
    return next(found, None)


def is_field(code: Function, at: int, memory: Memory, number: Number) -> bool:
    """Whether an instruction reads the field."""
    row = code.instructions[at]
    # Of a variable the address is told already.
    begin = memory.displacement + (row.end if memory.base == "rip" else 0)
    return (begin - number.key) & _MASK == 0 and memory.size == number.size

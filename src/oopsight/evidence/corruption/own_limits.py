"""A limit that a function's own code has, as a number, for how far it writes.

The compiler puts it there where all callers tell the same number. It is compared, in the loop that
writes, with what moves on in that loop: the index, the count, or the pointer, whose end is computed
from where it began.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence.corruption.writer_limits import source_of
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import Copy, Effect, Load, Place, Returned
from oopsight.evidence.flow.extent import conditions, reached
from oopsight.evidence.flow.instructions import ARGUMENTS, Instruction, whole_register

_LEAST, _MOST = 2, 1 << 16
_MOST_COPIES = 8
_STEPS = ("add", "sub", "inc", "dec")
_COPIES = ("mov", "movsxd", "movsx")
_WIDE = 4
"""Bytes of a number; a character has fewer."""


@dataclass(frozen=True)
class OwnLimit:
    """Of all the places at which a function writes at length."""

    most: int | None
    """The largest number; ``None`` where only arguments say."""
    passed_by: bool
    """Whether the function can write again and again without coming to any such comparison, as long
    as the text that it reads, or what it calls, tells it to."""


def own_limit(calls: Calls, code: Function, writes: list[int], told: set[str]) -> OwnLimit | None:
    """Look for it.

    :param writes: instructions that write, in loops
    :param told: arguments in which the function is told how far to go
    """
    numbers: dict[int, int] = {}
    looks: set[int] = set()
    for at in writes:
        loop = reached(code.after, at) & reached(code.before, at)
        for index in conditions(code, at):
            number = _number(calls, code, index, loop)
            if number is not None:
                numbers[index] = number
            elif _of_argument(calls, code, index, told):
                looks.add(index)
    looks |= numbers.keys()
    if not looks:
        return None
    passed_by = any(_again(calls, code, at, looks) for at in writes)
    return OwnLimit(max(numbers.values(), default=None), passed_by)


def _again(calls: Calls, code: Function, at: int, but: set[int]) -> bool:
    """Whether it can be repeated without the comparisons, and with no other number that ends it."""
    loop = reached(code.after, at, but) & reached(code.before, at, but)
    ends = [one for one in conditions(code, at) if one in loop]
    return at in loop and all(_of_text(calls, code, one) for one in ends)


def _of_argument(calls: Calls, code: Function, index: int, told: set[str]) -> bool:
    """Whether a comparison is with an argument, as it was or one less."""
    names = [whole_register(one.register or "") for one in code.instructions[index].operands]
    return any(name is not None and source_of(calls, code, name, index) in told for name in names)


def _of_text(calls: Calls, code: Function, index: int) -> bool:
    """Whether it is a character that is compared, or what a function had returned."""
    for one in code.instructions[index].operands:
        if one.size == 1 or one.immediate is not None:
            continue
        name = whole_register(one.register or "")
        found = None if name is None else calls.tracer.definitions(code, name, index)
        if not found or not all(_is_text(definition.effect) for definition in found):
            return False
    return True


def _is_text(what: Effect | None) -> bool:
    return isinstance(what, Returned) or (isinstance(what, Load) and what.memory.size == 1)


def _number(calls: Calls, code: Function, index: int, loop: set[int]) -> int | None:
    """What a comparison allows, if it is of a number that moves with one that does not."""
    row = code.instructions[index]
    if row.mnemonic != "cmp" or len(row.operands) != 2:
        return None
    first, second = row.operands[:2]
    name = whole_register(first.register or "")
    if name is None or first.size < _WIDE or not _moves(calls, code, name, index, loop):
        return None
    number = second.immediate
    if number is None:
        number = _from_begin(calls, code, whole_register(second.register or ""), index)
    return number if number is not None and _LEAST <= number <= _MOST else None


def _moves(calls: Calls, code: Function, register: str, at: int, loop: set[int]) -> bool:
    """Whether a register is what the loop counts with, from its beginning to its end.

    What is set anew within the loop counts a smaller one inside it.
    """
    work: list[tuple[str, int]] = [(register, at)]
    seen: set[tuple[str, int]] = set()
    stepped = False
    while work and len(seen) < _MOST_COPIES:
        one = work.pop()
        if one in seen:
            continue
        seen.add(one)
        for found in calls.tracer.definitions(code, *one) or ():
            if found.index not in loop:
                continue
            row = code.instructions[found.index]
            source = row.operands[1].register if len(row.operands) == 2 else None
            if _steps(row):
                stepped = True
            elif row.mnemonic in _COPIES and (whole := whole_register(source or "")) is not None:
                work.append((whole, found.index))
            else:
                return False
    return stepped


def _steps(row: Instruction) -> bool:
    """Whether it adds a number to a register."""
    if row.mnemonic == "lea":
        memory = row.operands[1].memory
        return memory is not None and memory.index is None and memory.displacement != 0
    return row.mnemonic in _STEPS and all(one.memory is None for one in row.operands)


def _from_begin(calls: Calls, code: Function, register: str | None, at: int) -> int | None:
    """How far behind an argument a pointer is, if the code has that as a number."""
    place: Place | None = register
    beyond = 0
    for _ in range(_MOST_COPIES):
        found = calls.tracer.definitions(code, place, at) if place is not None else None
        if not found or len(found) > 1:
            return None
        what = found[0].effect
        if what is None:
            return beyond if beyond and place in ARGUMENTS else None
        if not isinstance(what, Copy):
            return None
        beyond += what.delta
        place, at = what.source, found[0].index
    return None

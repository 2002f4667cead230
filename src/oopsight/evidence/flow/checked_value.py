"""What a check that failed had compared, or a division was by: where in memory that was kept.

Whoever checks or divides has mostly not made the number: it was read from a field that others set.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import DIVIDE_ERROR, INVALID_OPCODE, Fault
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.follower import Follower
from oopsight.evidence.flow.frames import calls
from oopsight.evidence.flow.instructions import Instruction, Operand, whole_register
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.ways import Namer, Way
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session

_COMPARES = ("cmp", "test", "bt")
_KEEP_FLAGS = ("mov", "lea", "push", "pop", "nop", "set", "cmov", "j")
LOW, HIGH = "low", "high"
_BELOW = ("jb", "jbe", "jl", "jle", "js")
_ABOVE = ("ja", "jae", "jg", "jge", "jns")
_MOST_COUNTED = 1 << 31
_NO_OPERAND = -1
_MOST_BACK = 48
_NEAR = 3
_DEEPEST = 2
"""Computations that are looked into, one in another."""
_KEPT = ("slab", "module", "per-cpu", "page", "vmalloc", "kernel")


@dataclass(frozen=True)
class CheckedValue:
    """Numbers that were read from memory in use by all: an object, a variable.

    Where none was followed to memory, those that were computed in a way not seen through.
    """

    ways: tuple[Way, ...]
    """The way of each, and none of the pointers it was read through."""
    alone: bool
    """Whether they were compared with no number that the call brought with it."""
    wrong: tuple[str, ...] = ()
    """Of each way whether the number was found too :data:`LOW` or too :data:`HIGH`; empty where the
    comparison does not tell."""
    difference: bool = False
    """Whether what was divided by is the difference of two numbers, which may always be equal."""


def collect(
    session: Session, fault: Fault, backtrace: Backtrace, modules: Modules
) -> CheckedValue | Missing:
    """Follow the operands of the comparison that led to the trap, or the divisor."""
    if fault.exception not in (INVALID_OPCODE, DIVIDE_ERROR):
        return Missing(Why.NOT_APPLICABLE, "no check failed, and nothing was divided by zero")
    found = calls(session, backtrace, None)
    context = found.context(0)
    at = None if context is None else tested_before(context)
    follower = Follower(session, Namer(session, modules, backtrace), found)
    if context is None or at is None:
        counted = _counted_below(follower, context) if context is not None else None
        return counted or Missing(Why.NOT_APPLICABLE, "what led there is not one comparison")
    operands = dict(operand_ways(follower, context, at, _DEEPEST))
    ways = list(operands)
    kept = [way for way in ways if way.ended == "loaded" and is_kept(way)]
    kept = kept or [way for way in ways if way.ended == "lost" and not _is_of_call(way)]
    if not kept:
        return Missing(Why.NOT_APPLICABLE, "what was compared was not kept in memory")
    brought = any(_is_of_call(way) for way in ways if way not in kept)
    wrong = _wrong(context.function, context.at, at)
    heads = [way for way in kept if is_empty_head(way)]
    kept = heads or kept
    counts = _counted(follower, context, at) if heads else []
    return CheckedValue(
        ways=(*kept, *counts),
        alone=not brought,
        wrong=(*(wrong.get(operands[way], "") for way in kept), *(HIGH for _ in counts)),
        difference=_is_difference(follower, context, at),
    )


def _counted_below(follower: Follower, context: Context) -> CheckedValue | None:
    """What was taken from in memory, where its sign alone then decided."""
    code = context.function
    at = _jump_to(code, context.at)
    if at is None or code.instructions[at].mnemonic not in ("js", "jns"):
        return None
    for _ in range(_NEAR):
        before = code.before[at]
        if len(before) != 1:
            return None
        (at,) = before
        row = code.instructions[at]
        memory = row.operands[0].memory if row.operands and row.operands[0].writes else None
        if memory is None and row.mnemonic in ("sub", "dec", "add"):
            continue
        counts = row.mnemonic.removeprefix("lock ") in ("xadd", "sub", "dec", "add")
        way = follower.ways(context, memory, None, at)[0] if memory is not None and counts else None
        known = way is not None and way.ended == "loaded" and is_kept(way)
        return CheckedValue((way,), alone=True, wrong=(LOW,)) if way is not None and known else None
    return None


def is_empty_head(way: Way) -> bool:
    """Whether a number is that of a list's head which leads to itself."""
    end = way.end
    return end is not None and end.memory is not None and end.value == end.memory.address


def _counted(follower: Follower, context: Context, at: int) -> list[Way]:
    """The number that was compared before, by which a list should not have been empty."""
    jump = _jump_to(context.function, at)
    before = None if jump is None else comparison_before(context.function, jump)
    for way, _ in operand_ways(follower, context, before, 0) if before is not None else ():
        small = way.value is not None and 0 < way.value < _MOST_COUNTED
        if way.ended == "loaded" and is_kept(way) and small:
            return [way]
    return []


def _is_difference(follower: Follower, context: Context, at: int) -> bool:
    """Whether the divisor was subtracted from, last of all."""
    row = context.function.instructions[at]
    register = whole_register(row.operands[0].register or "") if row.operands else None
    if row.mnemonic not in ("div", "idiv") or register is None:
        return False
    value = follower.calls.tracer.value(context, register, at)
    end = follower.ways(context, register, value, at)[0].end
    inner = context.function.index(int(end.instruction.address)) if end is not None else None
    if inner is None:
        return False
    made = context.function.instructions[inner]
    return made.mnemonic == "sub" and made.operands[1].immediate is None


def _wrong(code: Function, trap: int, at: int) -> dict[int, str]:
    """By the places of the operands, whether they were too low or too high; where that is clear."""
    jump = _jump_to(code, trap)
    if jump is None or at == trap:  # a division
        return {}
    row, compared = code.instructions[jump], code.instructions[at]
    name, taken = row.mnemonic, _is_taken(code, jump, trap)
    same = len(compared.operands) == 2 and compared.operands[0] == compared.operands[1]
    zero = compared.mnemonic == "test" and same
    zero = zero or (compared.mnemonic == "cmp" and compared.operands[1].immediate == 0)
    low = name in _BELOW or (zero and name == "je")
    if not low and name not in _ABOVE and not (zero and name == "jne"):
        return {}
    first = LOW if low == taken else HIGH
    return {0: first, 1: first if zero else {LOW: HIGH, HIGH: LOW}[first]}


def _is_taken(code: Function, jump: int, trap: int) -> bool:
    """Whether a jump was what led to a place, rather than that it was not taken."""
    at = trap
    while len(code.before[at]) == 1 and code.before[at] != (jump,):
        (at,) = code.before[at]
    return at != jump + 1


def operand_ways(
    follower: Follower, context: Context, at: int, deep: int
) -> Iterator[tuple[Way, int]]:
    """The way of each operand, and the operand's place.

    Where one was computed of several numbers, those of these, which have none.
    """
    tracer = follower.calls.tracer
    for number, operand in enumerate(_operands(context.function.instructions[at])):
        register = whole_register(operand.register or "")
        if operand.memory is not None:
            for way in follower.ways(context, operand.memory, None, at)[:1]:
                yield way, number
        elif register is not None:
            value = tracer.value(context, register, at)
            way = follower.ways(context, register, value, at)[0]
            parts: list[Way] = []
            if way.ended == "lost" and deep and "was entered" not in way.why:
                made = _made_at(context, way)
                if made is not None and made != (context, at):
                    parts = [part for part, _ in operand_ways(follower, *made, deep - 1)]
            if not parts:
                yield way, number
            for part in parts:
                yield part, _NO_OPERAND


def _operands(row: Instruction) -> tuple[Operand, ...]:
    """What an instruction compares, or computes of: of a remainder the divisor, its limit."""
    if row.is_call:
        return ()
    if row.mnemonic != "lea":
        return row.operands
    place = row.operands[1].memory
    names = [place.base, place.index] if place is not None else []
    return tuple(Operand(register=name) for name in names if name is not None)


def _made_at(context: Context, way: Way) -> tuple[Context, int] | None:
    """Where a value was computed whose trace ends there: in the function, or one that called it."""
    if way.end is None:
        return None
    caller: Context | None = context
    while caller is not None and caller.frame != way.end.frame:
        caller = caller.caller()
    at = None if caller is None else caller.function.index(int(way.end.instruction.address))
    return None if caller is None or at is None else (caller, at)


def is_kept(way: Way) -> bool:
    """Whether a value was read from what others can have written to, as far as that is known."""
    return way.held_in is None or way.held_in.kind in _KEPT


def _is_of_call(way: Way) -> bool:
    """Whether a value came with the call, and was not computed of others on the way."""
    return way.ended != "lost" or bool(way.passed_by) or "was entered" in way.why


def tested_before(context: Context) -> int | None:
    """The instruction whose operands decided: the division, or the comparison before a trap."""
    code, at = context.function, context.at
    row = code.instructions[at]
    if row.mnemonic in ("div", "idiv"):
        return at
    jump = _jump_to(code, at)
    return None if jump is None else comparison_before(code, jump)


def _jump_to(code: Function, at: int) -> int | None:
    """The conditional jump that led to a place, where only one does."""
    for _ in range(_MOST_BACK):
        before = code.before[at]
        if len(before) != 1:
            return None
        (at,) = before
        if is_conditional(code.instructions[at]):
            return at
    return None


def comparison_before(code: Function, at: int) -> int | None:
    """The comparison that set the flags for an instruction."""
    for _ in range(_MOST_BACK):
        before = code.before[at]
        if len(before) != 1:
            return None
        (at,) = before
        row = code.instructions[at]
        if row.mnemonic in _COMPARES:
            return at
        if row.is_call or not row.mnemonic.startswith(_KEEP_FLAGS):
            return None
    return None


def is_conditional(row: Instruction) -> bool:
    """Whether it jumps on a condition."""
    return row.is_jump and row.mnemonic != "jmp"

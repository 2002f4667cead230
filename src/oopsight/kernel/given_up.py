"""Whether a function gives up what it was handed, and returns as if it had not.

A handler that answers "busy", or an error, leaves what it was handed to its caller. Each way
through the code is followed with what registers hold on it. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oopsight.kernel.answers import answer_in, assign_with_numbers
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import (
    Expression,
    Instruction,
    Registers,
    after_call,
    direct_target,
)
from oopsight.kernel.pointer_fate import FREES, RETURNS, Does

_MOST_STATES = 4000


class _State(NamedTuple):
    at: int
    given: bool
    values: frozenset[tuple[str, Expression]]


def gives_up_and_returns(
    function: Function, value: Expression, does: Does, answer: Callable[[int | None], bool]
) -> bool:
    """Whether some way gives a pointer up, and then returns such a number.

    :param value: the pointer, as the function has it when it begins
    :param answer: whether a number is such a one, of 32 bits; ``None`` for one that is not known
    """
    start = dict(function.registers(function.start))
    waiting: list[tuple[int, bool, Registers]] = [(function.start, False, start)]
    seen: set[_State] = set()
    while waiting and len(seen) <= _MOST_STATES:
        at, given, registers = waiting.pop()
        instruction = function.code.get(at)
        state = _State(at, given, frozenset(_told(registers, value)))
        if instruction is None or state in seen:
            continue
        seen.add(state)
        ways = function.ways(instruction)
        leaves = instruction.mnemonic == "jmp" and not ways
        returns = leaves and does(direct_target(instruction), "") == RETURNS
        if instruction.mnemonic == "ret" or returns:
            if given and answer(answer_in(registers)):
                return True
            continue
        after = dict(registers)
        if instruction.mnemonic == "call" or leaves:
            given = given or _gives_up(instruction, registers, value, does)
            after_call(instruction, after)
        elif not instruction.mnemonic.startswith("j"):
            assign_with_numbers(instruction, after)
        waiting += [(there, given, after) for there in ways]
    return False


def _told(registers: Registers, value: Expression) -> list[tuple[str, Expression]]:
    """What matters of the registers: numbers, and the pointer."""
    return [(name, one) for name, one in registers.items() if not one.base or one == value]


def _gives_up(
    instruction: Instruction, registers: Registers, value: Expression, does: Does
) -> bool:
    target = direct_target(instruction)
    return any(registers.get(name) == value and does(target, name) == FREES for name in ARGUMENTS)

"""Whether a function returns as if it had filled a variable that it was handed, and has not.

What it returns where it has is told by its caller, which went on with the variable: for most that
is zero, for those that return true or a number something else. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable

from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import REGISTER
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    Registers,
    after_call,
    direct_target,
    memory_place,
    register_of,
    result_of,
    stores,
)
from oopsight.kernel.skipped_store import (
    ERROR,
    NEGATIVE,
    SET,
    ZERO,
    State,
    assign_all,
    compared,
    is_result,
    results,
    told,
)

NOT_NEGATIVE = "not negative"
_MOST_STATES = 4000
Returns = Callable[[int | None], bool]
"""Whether a jump to an address stands for a return."""


def promised(function: Function, call: int, use: int) -> str | None:
    """What a call has returned where the code has come to another place behind it.

    :return: :data:`ZERO`, :data:`SET`, :data:`NOT_NEGATIVE`; ``None`` where nobody looks
    """
    instruction = function.code[call]
    result = result_of(call).base
    registers = dict(function.registers(call))
    after_call(instruction, registers)
    waiting = [(State(instruction.end, False, frozenset(), frozenset(), None), registers)]
    seen: set[State] = set()
    arrived: list[set[str]] = []
    while waiting and len(seen) < _MOST_STATES:
        state, registers = waiting.pop()
        row = function.code.get(state.at)
        if state.at == use:
            arrived.append({what for base, what in state.known if base == result})
            continue
        if row is None or state in seen or state.at == call:
            continue
        seen.add(state)
        after, left = _behind(row, state, registers)
        for there in function.ways(row):
            known = told(row, there, state)
            if known is not None:
                if _not_negative(row, there, state):
                    known |= {(result, NOT_NEGATIVE)}
                waiting.append((after._replace(at=there, known=known), left))
    for what in (ZERO, SET, NOT_NEGATIVE):
        if arrived and all(what in one for one in arrived):
            return what
    return None


def _not_negative(row: Instruction, there: int, state: State) -> bool:
    """Whether a way is taken only where what was compared is not negative."""
    if state.compared is None or state.compared[1] != ZERO:
        return False
    taken = there == direct_target(row)
    return (row.mnemonic in ("js", "jl") and not taken) or (
        row.mnemonic in ("jns", "jge") and taken
    )


def _behind(row: Instruction, state: State, before: Registers) -> tuple[State, Registers]:
    """What is known behind an instruction."""
    registers = dict(before)
    if row.mnemonic == "call":
        result = result_of(row.address).base
        after_call(row, registers)
        known = frozenset(one for one in state.known if one[0] != result)
        return state._replace(known=known, compared=None), registers
    flags = state.compared
    if not row.mnemonic.startswith("j"):
        flags = compared(row, registers, flags)
        assign_all(row, registers)
    return state._replace(compared=flags), registers


def unfilled(function: Function, register: str, promise: str, returns: Returns) -> bool:
    """Whether some way keeps a promise and has stored nothing through a pointer.

    :param register: of the argument that is the variable's address
    :param promise: as :func:`promised` has it
    """
    first = State(function.start, False, frozenset(), frozenset(), None)
    waiting = [(first, {**function.registers(function.start), register: Expression(register, 0)})]
    seen: set[tuple[State, frozenset[tuple[str, Expression]]]] = set()
    while waiting:
        state, registers = waiting.pop()
        row = function.code.get(state.at)
        key = (state, results(registers))
        if row is None or key in seen or _filled(row, registers, register):
            continue
        if len(seen) > _MOST_STATES:
            return False
        seen.add(key)
        ways = function.ways(row)
        target = direct_target(row)
        if row.mnemonic == "ret" or (row.mnemonic == "jmp" and not ways):
            if (row.mnemonic == "ret" or returns(target)) and _keeps(registers, state, promise):
                return True
            continue
        after, left = _behind(row, state, registers)
        for there in ways:
            known = told(row, there, state)
            if known is not None:
                waiting.append((after._replace(at=there, known=known), left))
    return False


def _filled(row: Instruction, registers: Registers, register: str) -> bool:
    """Whether an instruction stores through the pointer, or gives it to somebody else."""
    if row.mnemonic in ("call", "jmp"):
        held = (registers.get(name) for name in ARGUMENTS)
        return row.mnemonic == "call" and any(
            one is not None and one.base == register for one in held
        )
    if not stores(row):
        return False
    place = memory_place(row, registers)
    if place is not None and place.base == register:
        return True
    sources = [register_of(one.reg) for one in row.operands[1:] if one.type == REGISTER]
    given = [registers.get(name or "") for name in sources]
    own = place is not None and place.base == FRAME
    return not own and Expression(register, 0) in given


def _keeps(registers: Registers, state: State, promise: str) -> bool:
    """Whether what is returned is what the caller took for success."""
    result = registers.get("rax")
    if result is None:
        return False
    number = result.offset & 0xFFFFFFFF
    if not result.base:
        return {ZERO: number == 0, SET: number != 0}.get(promise, not number >> 31)
    known = {what for base, what in state.known if base == result.base}
    if result.offset or not is_result(result):
        return False
    if promise == SET:
        return SET in known and not known & {ERROR, NEGATIVE}
    return ZERO in known

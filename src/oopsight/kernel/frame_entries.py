"""Whether a function puts an entry of its own frame on a list, and can return with it there.

The entry lies on the stack: its memory is another call's as soon as the function has returned.
x86-64.
"""

from __future__ import annotations

from collections.abc import Callable

from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE
from oopsight.kernel.machine_code import (
    FRAME,
    MASK,
    Expression,
    Instruction,
    Registers,
    after_call,
    assign,
    direct_target,
    memory_place,
    stored,
)

Adds = Callable[[int | None], frozenset[str]]
"""The registers whose entries a function puts on a list."""
Removes = Callable[[int | None], bool]
"""Whether a function takes anything off a list."""


def added(function: Function, adds: Adds) -> tuple[int, ...]:
    """Where a function puts an entry of its own frame on a list, by a call or by a store."""
    known = _registers(function)
    return tuple(at for at, one in function.code.items() if _adds(one, known.get(at, {}), adds))


def arguments_added(function: Function, adds: Adds) -> frozenset[str]:
    """The registers in which it is handed what it puts on a list by a call."""
    calls = [one for one in function.code.values() if one.mnemonic in ("call", "jmp")]
    handed = [
        function.registers(one.address).get(name)
        for one in calls
        for name in adds(direct_target(one))
    ]
    return frozenset(one.base for one in handed if one is not None and one.base in ARGUMENTS)


def left_on_return(function: Function, sites: tuple[int, ...], removes: Removes) -> bool:
    """Whether some way leads from there to a return and takes nothing off a list."""
    waiting = [there for at in sites for there in function.ways(function.code[at])]
    seen: set[int] = set()
    while waiting:
        at = waiting.pop()
        instruction = function.code.get(at)
        if instruction is None or at in seen:
            continue
        seen.add(at)
        name = instruction.mnemonic
        ways = function.ways(instruction)
        leaves = name == "jmp" and not ways
        if (name == "call" or leaves) and removes(direct_target(instruction)):
            continue
        if name == "ret" or leaves:
            return True
        waiting += ways
    return False


def _adds(instruction: Instruction, registers: Registers, adds: Adds) -> bool:
    if instruction.mnemonic in ("call", "jmp"):
        given = [registers.get(name) for name in adds(direct_target(instruction))]
        return any(one is not None and _in_frame(one) for one in given)
    value = stored(instruction, registers)
    if value is None or not _in_frame(value):
        return False
    place = memory_place(instruction, registers)
    own = instruction.operands[0].mem.segment or (place is not None and place.base == FRAME)
    return not own


def _in_frame(value: Expression) -> bool:
    """Whether an address lies below where the function began: in its own frame."""
    return value.base == FRAME and bool(value.offset >> 63)


def _registers(function: Function) -> dict[int, Registers]:
    """What registers hold before each instruction, also where the frame is aligned anew."""
    aligned = [one for one in function.code.values() if _aligned(one, {}) is not None]
    if not aligned:
        return {at: function.registers(at) for at in function.code}
    found: dict[int, Registers] = {}
    waiting = [(function.start, dict(function.registers(function.start)))]
    while waiting:
        at, registers = waiting.pop()
        instruction = function.code.get(at)
        if instruction is None:
            continue
        known = found.get(at)
        if known is not None:
            registers = {k: v for k, v in known.items() if registers.get(k) == v}
            if registers == known:
                continue
        found[at] = registers
        after = dict(registers)
        if instruction.mnemonic == "call":
            after_call(instruction, after)
        elif not instruction.mnemonic.startswith("j"):
            pointer = _aligned(instruction, registers)
            assign(instruction, after)
            after |= {} if pointer is None else {"rsp": pointer}
        waiting += [(there, after) for there in function.ways(instruction)]
    return found


def _aligned(instruction: Instruction, registers: Registers) -> Expression | None:
    """The stack pointer behind an instruction that rounds it down."""
    operands = instruction.operands
    if instruction.mnemonic != "and" or "rsp" not in instruction.written:
        return None
    if operands[1].type != IMMEDIATE:
        return None
    before = registers.get("rsp", Expression(FRAME, -8 & MASK))
    return Expression(before.base, before.offset & operands[1].imm & MASK)

"""The numbers that functions return, and whether their callers look at them. x86-64."""

from __future__ import annotations

from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import REGISTER
from oopsight.kernel.machine_code import (
    Expression,
    Instruction,
    Registers,
    assign,
    register_of,
)

_BYTE, _INT = 0xFF, 0xFFFFFFFF
_RESULT = "rax"


def assign_with_numbers(instruction: Instruction, registers: Registers) -> None:
    """The same as of any instruction, and what one leaves of numbers in the lower halves."""
    operands = instruction.operands
    names = [register_of(one.reg) for one in operands if one.type == REGISTER]
    source = registers.get(names[-1] or "") if len(names) == 2 == len(operands) else None
    assign(instruction, registers)
    if is_zeroing(instruction) and names[0] is not None:
        registers[names[0]] = Expression("", 0)
    elif instruction.mnemonic in ("mov", "movzx") and source is not None and not source.base:
        mask = {1: _BYTE, 4: _INT}.get(operands[1].size)
        if mask is not None and names[0] is not None and operands[0].size >= 4:
            registers[names[0]] = Expression("", source.offset & mask)


def is_zeroing(instruction: Instruction) -> bool:
    """Whether it makes a register zero, as ``xor eax, eax``."""
    registers = [one.reg for one in instruction.operands if one.type == REGISTER]
    return instruction.mnemonic == "xor" and len(registers) == 2 and len(set(registers)) == 1


def answer_in(registers: Registers) -> int | None:
    """The number of 32 bits that a function returns with these; ``None`` where it is not known."""
    value = registers.get(_RESULT)
    return None if value is None or value.base else value.offset & _INT


def is_looked_at(function: Function, call: Instruction) -> bool:
    """Whether some way behind a call reads what it has returned."""
    waiting, seen = list(function.ways(call)), set()
    while waiting:
        at = waiting.pop()
        row = function.code.get(at)
        if row is None or at in seen:
            continue
        seen.add(at)
        if _RESULT in row.read and not is_zeroing(row):
            return True
        if _RESULT not in row.written and row.mnemonic != "call":
            waiting += function.ways(row)
    return False

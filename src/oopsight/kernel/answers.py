"""The numbers that functions return, and whether their callers look at them. x86-64."""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE, REGISTER
from oopsight.kernel.machine_code import (
    Expression,
    Instruction,
    Operand,
    Registers,
    assign,
    register_of,
)

_BYTE, _INT = 0xFF, 0xFFFFFFFF
_MOST_ERRORS = 4095
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
    return any(_RESULT in row.read and not is_zeroing(row) for row in _meeting(function, call))


def is_lost(function: Function, call: Instruction) -> bool:
    """Whether no way behind a call reads what it has returned, nor returns it in turn."""
    return not any(
        row.mnemonic in ("ret", "jmp") or (_RESULT in row.read and not is_zeroing(row))
        for row in _meeting(function, call)
    )


def can_fail(function: Function) -> bool:
    """Whether it has the number of an error to return."""
    return any(
        row.mnemonic == "mov" and len(row.operands) == 2 and _is_error(row.operands[1])
        for row in function.code.values()
        if row.operands and row.operands[0].type == REGISTER
    )


def _is_error(operand: Operand) -> bool:
    return operand.type == IMMEDIATE and (operand.imm & _INT) > _INT - _MOST_ERRORS


def _meeting(function: Function, call: Instruction) -> Iterator[Instruction]:
    """Instructions behind a call that read what it has returned, or end its life.

    These are others that set the register, calls, and what leaves the function.
    """
    waiting, seen = list(function.ways(call)), set()
    while waiting:
        at = waiting.pop()
        row = function.code.get(at)
        if row is None or at in seen:
            continue
        seen.add(at)
        ways = function.ways(row)
        if _RESULT in row.read or _RESULT in row.written or row.mnemonic == "call" or not ways:
            yield row
        else:
            waiting += ways

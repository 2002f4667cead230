"""By how much a function changes numbers in memory. x86-64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from oopsight.kernel.calling_convention import CALLER_SAVED
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE, MEMORY, REGISTER
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    memory_place,
    register_of,
    stores,
)

_FARTHEST = 16
"""Instructions from a store back to the load of what is stored."""
_LOADS = ("mov", "movsxd", "movzx", "movsx")
_LARGEST = 1 << 16


class Change(NamedTuple):
    """A number is made more, or less."""

    at: int
    place: Expression
    by: int


def changes(function: Function) -> Iterator[Change]:
    """All that a function makes of what was there before, and a constant."""
    rows = list(function.code.values())
    for number, row in enumerate(rows):
        place = memory_place(row, function.registers(row.address)) if stores(row) else None
        if place is None or place.base == FRAME:
            continue
        by = _in_memory(row)
        if by is None and row.mnemonic == "mov" and row.operands[1].type == REGISTER:
            name = register_of(row.operands[1].reg)
            before = rows[max(0, number - _FARTHEST) : number]
            by = _since_load(function, before[::-1], name, place)
        if by is not None and 0 < abs(by) < _LARGEST:
            yield Change(row.address, place, by)


def _in_memory(row: Instruction) -> int | None:
    """What is added to memory itself."""
    if row.mnemonic in ("inc", "dec"):
        return 1 if row.mnemonic == "inc" else -1
    if row.mnemonic not in ("add", "sub") or row.operands[1].type != IMMEDIATE:
        return None
    by = int(row.operands[1].imm)
    return by if row.mnemonic == "add" else -by


def _since_load(
    function: Function, before: list[Instruction], name: str | None, place: Expression
) -> int | None:
    """What was added to a register since it was loaded from a place.

    :param before: the instructions before, the nearest first
    """
    total = 0
    for row in before:
        lost = row.mnemonic == "call" and name in CALLER_SAVED
        if name is None or lost or row.mnemonic in ("ret", "jmp"):
            return None
        if name not in row.written or (row.operands and row.operands[0].type == MEMORY):
            continue
        operands = row.operands
        if row.mnemonic in _LOADS and len(operands) == 2 and operands[1].type == MEMORY:
            same = memory_place(row, function.registers(row.address)) == place
            return total if same else None
        if row.mnemonic == "mov" and operands[1].type == REGISTER:
            name = register_of(operands[1].reg)
        elif row.mnemonic in ("add", "sub", "inc", "dec"):
            by = _in_memory(row)
            if by is None:
                return None
            total += by
        elif row.mnemonic == "lea" and not operands[1].mem.indexed:
            total += operands[1].mem.disp
            name = register_of(operands[1].mem.base)
        else:
            return None
    return None

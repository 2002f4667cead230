"""Where code goes on once it has looked at a number in memory, if the number is known. x86-64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE, MEMORY, register_name
from oopsight.kernel.machine_code import KEEP_FLAGS, Instruction, direct_target

_MOST_STEPS = 12
_SIGNED = ("movsxd", "movsx")
_READS = ("mov", "movzx", *_SIGNED)
_KEEP_FLAGS = (*KEEP_FLAGS, "jmp")
_COMPARES = ("cmp", "test")
SECOND_BYTES = ("ah", "bh", "ch", "dh")
"""Not the lowest bits of their registers."""


class _Flags(NamedTuple):
    """What a comparison leaves for the jumps after it."""

    zero: bool
    sign: bool
    below: bool
    less: bool

    def takes(self, jump: str) -> bool | None:
        """Whether a conditional jump is taken; ``None`` for one that is not known."""
        when = {
            "e": self.zero,
            "s": self.sign,
            "b": self.below,
            "be": self.below or self.zero,
            "l": self.less,
            "le": self.less or self.zero,
        }
        unless = {"ne": "e", "ns": "s", "ae": "b", "a": "be", "ge": "l", "g": "le"}
        name = jump.removeprefix("j")
        if name in when:
            return when[name]
        return not when[unless[name]] if name in unless else None


def branch(function: Function, reads: Instruction, number: int) -> tuple[int, int] | None:
    """The first conditional jump that a number decides after it was read.

    :param reads: the instruction that reads the number from memory, or compares it there
    :param number: as it is in memory, without a sign
    :return: where the jump is, and where the code goes on; ``None`` where none is found
    """
    register: str | None = None
    flags: _Flags | None = None
    at: Instruction | None = reads
    for _ in range(_MOST_STEPS):
        if at is None or at.mnemonic == "call":
            return None
        name = at.mnemonic
        if name.startswith("j") and name != "jmp":
            taken = flags.takes(name) if flags is not None else None
            if taken is None:
                return None
            target = direct_target(at)
            there = target if taken else at.end
            return (at.address, there) if there is not None else None
        if at is reads and name in _READS and at.written:
            register = at.written[0]
            number = _extended(at, number)
        elif name in _COMPARES:
            flags = _compared(at, register, number, in_memory=at is reads)
        else:
            if name not in _KEEP_FLAGS:
                flags = None
            if register in at.written:
                register = None
        ways = function.ways(at)
        at = function.code.get(ways[0]) if len(ways) == 1 else None
    return None


def comes_back(
    function: Function,
    address: int,
    decided: Mapping[int, int],
    ends: frozenset[int] = frozenset(),
) -> bool:
    """Whether the code at an address can come to the same address again.

    :param decided: conditional jumps of which it is known where the code goes on
    :param ends: addresses past which it is not followed
    """
    seen: set[int] = set()
    ways = [address]
    while ways:
        at = ways.pop()
        row = function.code.get(at)
        if row is None or at in ends:
            continue
        for there in [decided[at]] if at in decided else function.ways(row):
            if there == address:
                return True
            if there not in seen:
                seen.add(there)
                ways.append(there)
    return False


def _extended(reads: Instruction, number: int) -> int:
    """A number as it is in the register it was read to."""
    size = 8 * int(reads.operands[1].size)
    return _signed(number, size) if reads.mnemonic in _SIGNED else number


def _compared(
    row: Instruction, register: str | None, number: int, *, in_memory: bool
) -> _Flags | None:
    """The flags after the number was compared with a constant; ``None`` after anything else."""
    first, second = row.operands
    if in_memory != (first.type == MEMORY):
        return None
    if not in_memory and (row.read != (register,) or register_name(first.reg) in SECOND_BYTES):
        return None
    size = 8 * int(first.size)
    mask = (1 << size) - 1
    left = number & mask
    if second.type == IMMEDIATE:
        right = second.imm & mask
    elif in_memory:
        return None
    else:
        right = left  # a register with itself
    if row.mnemonic == "test":
        result = left & right
        sign = bool(result >> size - 1)
        return _Flags(zero=result == 0, sign=sign, below=False, less=sign)
    return _Flags(
        zero=left == right,
        sign=bool(((left - right) & mask) >> size - 1),
        below=left < right,
        less=_signed(left, size) < _signed(right, size),
    )


def _signed(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> bits - 1 else number

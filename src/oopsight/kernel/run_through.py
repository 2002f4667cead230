"""Code carried out on the memory of a dump: what it would come to if it ran on now. x86-64.

Nothing is written but to a copy. What is not known stays unknown, and a jump by it ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from oopsight.kernel.calling_convention import CALLER_SAVED
from oopsight.kernel.disassembler import IMMEDIATE, MEMORY, REGISTER, register_name
from oopsight.kernel.machine_code import (
    KEEP_FLAGS,
    MASK,
    RIP,
    Instruction,
    Operand,
    direct_target,
    register_of,
)

_MOST_STEPS = 2000
_MOVES = ("mov", "movabs", "movzx", "movsx", "movsxd")
_SIGNED = ("movsx", "movsxd")
_KEEP_FLAGS = (*KEEP_FLAGS, "not", "endbr64", "xchg")
_NO_RESULT = ("cmp", "test", "bt")
_SHIFTS = ("shl", "sal", "shr", "sar")
_SECOND_BYTES = ("ah", "bh", "ch", "dh")
_STACK = 1 << 16
"""From the stack pointer on, in bytes: what lies there is not shared."""
Code = Mapping[int, Instruction]
Memory = Callable[[int, int], bytes | None]


class Read(NamedTuple):
    """A number in memory that decided where the code went on, or may have."""

    row: Instruction
    address: int
    size: int


class Flags(NamedTuple):
    """What an instruction leaves for jumps."""

    zero: bool
    sign: bool
    carry: bool
    overflow: bool

    def holds(self, name: str) -> bool | None:
        """Whether a condition, as in the name of a jump, is met; ``None`` for an unknown one."""
        less = self.sign != self.overflow
        when = {
            "e": self.zero,
            "s": self.sign,
            "b": self.carry,
            "o": self.overflow,
            "be": self.carry or self.zero,
            "l": less,
            "le": less or self.zero,
        }
        unless = {"ne": "e", "ns": "s", "ae": "b", "no": "o", "a": "be", "ge": "l", "g": "le"}
        return when[name] if name in when else not when[unless[name]] if name in unless else None


class Machine:
    """One run.

    :param code_of: the instructions of the function at an address; ``None`` for one that is not
        gone into: what it returns is not known
    :param result_of: what a function that is not gone into is known to return
    :param returns: whether a jump to an address stands for a return
    :param memory: reads memory by address and size
    """

    def __init__(
        self,
        code_of: Callable[[int], Code | None],
        result_of: Callable[[int], int | None],
        returns: Callable[[int], bool],
        memory: Memory,
        registers: Mapping[str, int],
        patch: Mapping[int, bytes] | None = None,
    ) -> None:
        self._code_of = code_of
        self._result_of = result_of
        self._returns = returns
        self._memory = memory
        self.registers = dict(registers)
        self.flags: Flags | None = None
        self.reads: list[Read] = []
        self._written: dict[int, int | None] = {
            at + n: byte for at, raw in (patch or {}).items() for n, byte in enumerate(raw)
        }
        self._stack = self.registers.get("rsp")

    def run(self, code: Code, at: int, stops: Callable[[int], bool]) -> int | None:
        """Carry out code until it comes to a place that stops it.

        :return: that place, or where the function returns; ``None`` where that cannot be told
        """
        outer: list[tuple[Code, int]] = []
        for _ in range(_MOST_STEPS):
            row = code.get(at)
            if row is None:
                return None
            if not outer and stops(at):
                return at
            name, target = row.mnemonic, direct_target(row)
            if name == "ret" or (name == "jmp" and target not in code):
                if name == "jmp" and (target is None or not self._returns(target)):
                    return None
                if not outer:
                    return at
                self._move_stack(8)
                code, at = outer.pop()
            elif name == "call":
                inner = self._code_of(target) if target is not None else None
                if inner is None or target is None:
                    self._pass_over(target)
                    at = row.end
                else:
                    self._move_stack(-8)
                    outer.append((code, row.end))
                    code, at = inner, target
            elif name.startswith("j"):
                taken = True if name == "jmp" else self.flags and self.flags.holds(name[1:])
                if taken is None or target is None:
                    return None
                at = target if taken else row.end
            else:
                self._step(row)
                at = row.end
        return None

    def _move_stack(self, by: int) -> None:
        if "rsp" in self.registers:
            self.registers["rsp"] = (self.registers["rsp"] + by) & MASK

    def _pass_over(self, target: int | None) -> None:
        for name in CALLER_SAVED:
            self.registers.pop(name, None)
        result = self._result_of(target) if target is not None else None
        if result is not None:
            self.registers["rax"] = result
        self.flags = None

    def _step(self, row: Instruction) -> None:
        name = row.mnemonic
        if name in ("push", "pop", "leave"):
            self._step_stack(row)
            return
        value, flags = self._result(row)
        if name not in _KEEP_FLAGS and not name.startswith("cmov"):
            self.flags = flags
        if name in _NO_RESULT or name.startswith(("nop", "endbr")):
            return
        first = row.operands[0] if row.operands else None
        for register in row.written:
            if first is None or first.type != REGISTER or register != register_of(first.reg):
                self.registers.pop(register, None)
        if first is not None and first.type in (REGISTER, MEMORY):
            self._put(row, first, value)

    def _step_stack(self, row: Instruction) -> None:
        if row.mnemonic == "push":
            value = self._value(row, row.operands[0])
            self._move_stack(-8)
            self._write(self.registers.get("rsp"), 8, value)
            return
        if row.mnemonic == "leave":
            self._set("rsp", self.registers.get("rbp"))
        value = self._load(self.registers.get("rsp"), 8)
        self._move_stack(8)
        self._set("rbp" if row.mnemonic == "leave" else register_of(row.operands[0].reg), value)

    def _set(self, register: str | None, value: int | None) -> None:
        if register is not None:
            self.registers.pop(register, None)
            if value is not None:
                self.registers[register] = value

    def _put(self, row: Instruction, to: Operand, value: int | None) -> None:
        if to.type == MEMORY:
            self._write(self._address(row, to), to.size, value)
            return
        name = register_of(to.reg)
        if to.size >= 4 or value is None or register_name(to.reg) in _SECOND_BYTES:
            self._set(name, value if to.size >= 4 else None)
            return
        before = self.registers.get(name or "")
        mask = (1 << 8 * to.size) - 1
        self._set(name, None if before is None else before & ~mask | value & mask)

    def _write(self, address: int | None, size: int, value: int | None) -> None:
        for n in range(size) if address is not None else ():
            byte = None if value is None else value >> 8 * n & 0xFF
            self._written[(address or 0) + n & MASK] = byte

    def _load(self, address: int | None, size: int) -> int | None:
        if address is None:
            return None
        raw = self._memory(address, size)
        found = [self._written.get(address + n, raw[n] if raw else None) for n in range(size)]
        known = [byte for byte in found if byte is not None]
        return int.from_bytes(bytes(known), "little") if len(known) == size else None

    def _address(self, row: Instruction, operand: Operand) -> int | None:
        memory = operand.mem
        if memory.segment:
            return None
        if memory.base == RIP:
            return (row.end + memory.disp) & MASK
        address = memory.disp
        for number, scale in ((memory.base, 1), (memory.indexed, memory.scale)):
            value = self.registers.get(register_of(number) or "") if number else 0
            if value is None:
                return None
            address += value * scale
        return address & MASK

    def _value(self, row: Instruction, operand: Operand) -> int | None:
        """Of an operand that is read, without a sign."""
        mask = (1 << 8 * operand.size) - 1
        if operand.type == IMMEDIATE:
            return operand.imm & mask
        if operand.type == REGISTER:
            value = self.registers.get(register_of(operand.reg) or "")
            if value is not None and register_name(operand.reg) in _SECOND_BYTES:
                value >>= 8
            return None if value is None else value & mask
        address = self._address(row, operand)
        if address is not None and not self._is_stack(address):
            self.reads.append(Read(row, address, operand.size))
        return self._load(address, operand.size)

    def _is_stack(self, address: int) -> bool:
        return self._stack is not None and abs(address - self._stack) < _STACK

    def _result(self, row: Instruction) -> tuple[int | None, Flags | None]:
        """What an instruction makes, for its first operand, and the flags."""
        name, operands = row.mnemonic, row.operands
        if not operands or name.startswith(("nop", "endbr")):
            return None, None
        first = operands[0]
        bits = 8 * first.size
        if name.startswith("set"):
            met = self.flags.holds(name[3:]) if self.flags is not None else None
            return (None if met is None else int(met)), self.flags
        if name == "lea":
            address = self._address(row, operands[1])
            return (None if address is None else address & ((1 << bits) - 1)), None
        if name in _MOVES:
            value = self._value(row, operands[1])
            if name in _SIGNED and value is not None:
                value = _signed(value, 8 * operands[1].size) & ((1 << bits) - 1)
            return value, None
        if name in ("inc", "dec", "neg", "not"):
            return _one(name, self._value(row, first), bits)
        if len(operands) != 2:
            return None, None
        if name == "xor" and operands[1]._replace(access=0) == first._replace(access=0):
            return 0, Flags(zero=True, sign=False, carry=False, overflow=False)
        left, right = self._value(row, first), self._value(row, operands[1])
        if name.startswith("cmov"):
            met = self.flags.holds(name[4:]) if self.flags is not None else None
            return (None if met is None else right if met else left), None
        if left is None or right is None:
            return None, None
        return two(name, left, right, bits)


def _one(name: str, value: int | None, bits: int) -> tuple[int | None, Flags | None]:
    if value is None:
        return None, None
    if name == "not":
        return ~value & ((1 << bits) - 1), None
    if name == "neg":
        return two("sub", 0, value, bits)
    return two("add" if name == "inc" else "sub", value, 1, bits)


def two(name: str, left: int, right: int, bits: int) -> tuple[int | None, Flags | None]:
    """The result of an operation on two numbers of so many bits, and the flags.

    >>> two("sub", 3, 5, 8)
    (254, Flags(zero=False, sign=True, carry=True, overflow=False))
    """
    mask = (1 << bits) - 1
    right = _signed(right, bits) & mask if name not in _SHIFTS else right & (bits - 1)
    if name in ("bt", "bts", "btr", "btc"):
        bit = bool(left >> right % bits & 1)
        return None, Flags(zero=False, sign=False, carry=bit, overflow=False)
    exact = {
        "add": left + right,
        "sub": left - right,
        "cmp": left - right,
        "and": left & right,
        "test": left & right,
        "or": left | right,
        "xor": left ^ right,
        "imul": left * right,
        **(_shifted(left, right, bits) if name in _SHIFTS else {}),
    }.get(name)
    if exact is None:
        return None, None
    value = exact & mask
    signs = [number >> bits - 1 & 1 for number in (left, right, value)]
    subtracts = name in ("sub", "cmp")
    overflow = signs[2] != signs[0] and (signs[0] == signs[1]) != subtracts
    return value, Flags(
        zero=value == 0,
        sign=bool(signs[2]),
        carry=exact < 0 or (name == "add" and exact > mask),
        overflow=overflow and (subtracts or name == "add"),
    )


def _shifted(left: int, by: int, bits: int) -> dict[str, int]:
    """Only of what is to be shifted: by any other number that is more than memory can hold."""
    up = left << by
    return {"shl": up, "sal": up, "shr": left >> by, "sar": _signed(left, bits) >> by}


def _signed(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> bits - 1 else number

"""What one instruction does to one place: a general register, or a slot of the frame."""

from __future__ import annotations

from typing import Union

from oopsight.cheap import dataclass
from oopsight.evidence.flow.arithmetic import BINARY, UNARY
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.instructions import (
    CALL_CLOBBERS,
    Instruction,
    Memory,
    Operand,
    whole_register,
)
from oopsight.kernel.addresses import signed

MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Slot:
    """Eight bytes of the frame, ``offset`` bytes from its base (so below zero)."""

    offset: int

    def __str__(self) -> str:
        return f"stack slot {self.offset:+#x}"


Place = Union[str, Slot]  # noqa: UP007  # evaluated at run time on Python 3.10
"""A 64-bit register's name, or a slot of the frame."""


@dataclass(frozen=True)
class Copy:
    """What ``source`` held, plus ``delta``; only the lowest ``bits`` where fewer than 64."""

    source: Place
    delta: int = 0
    bits: int = 64
    signed: bool = False


@dataclass(frozen=True)
class Load:
    """Memory, of which ``memory.size`` bytes are read."""

    memory: Memory
    signed: bool = False


@dataclass(frozen=True)
class Constant:
    """A number that stands in the code, or an address computed from the program counter."""

    value: int


@dataclass(frozen=True)
class Returned:
    """What a called function returned; ``target`` is ``None`` for an indirect call."""

    target: int | None


@dataclass(frozen=True)
class Either:
    """One of two, by a condition: ``cmov``."""

    first: Effect
    second: Effect


@dataclass(frozen=True)
class Operation:
    """Arithmetic, by the name that :mod:`~oopsight.evidence.flow.arithmetic` has for it."""

    name: str
    inputs: tuple[Effect, ...]
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Lost:
    """Something that is not followed further."""

    why: str


Effect = Union[Copy, Load, Constant, Returned, Either, Operation, Lost]  # noqa: UP007


def narrowed(value: int, what: Copy) -> int:
    """What a copy makes of what its source held."""
    if what.bits < 64:
        value &= (1 << what.bits) - 1
        if what.signed:
            value = signed(value, what.bits)
    return (value + what.delta) & MASK


def sources_of(what: Effect) -> tuple[Place, ...]:
    """The places that an effect takes something from."""
    if isinstance(what, Copy):
        return (what.source,)
    if isinstance(what, Load):
        return tuple(
            name for name in (what.memory.base, what.memory.index) if name not in (None, "rip")
        )
    if isinstance(what, Either):
        return tuple(dict.fromkeys((*sources_of(what.first), *sources_of(what.second))))
    if isinstance(what, Operation):
        return tuple(dict.fromkeys(place for one in what.inputs for place in sources_of(one)))
    return ()


def slot_of(function: Function, index: int, memory: Memory) -> Slot | None:
    """The slot of the frame that an operand is, if it is one."""
    if memory.index or memory.segment not in (None, ""):
        return None
    depth = None
    if memory.base == "rsp":
        depth = function.depth[index]
    elif memory.base == "rbp":
        depth = function.frame_pointer[index]
    return None if depth is None else Slot(memory.displacement - depth)


def _source(function: Function, index: int, operand: Operand, extend: str | None) -> Effect:
    """What an operand gives when it is moved to a whole register."""
    size = operand.size
    if operand.immediate is not None:
        return Constant(operand.immediate & MASK)
    if operand.register is not None:
        whole = whole_register(operand.register)
        if whole is None or operand.register in ("ah", "bh", "ch", "dh"):
            return Lost(f"taken from {operand.register}")
        return Copy(whole, 0, size * 8, extend == "sign")
    if operand.memory is None:
        return Lost("no operand")
    memory = operand.memory
    if memory.base == "rip":
        row = function.instructions[index]
        memory = Memory(memory.segment, None, None, 1, row.end + memory.displacement, memory.size)
    slot = slot_of(function, index, memory)
    if slot is not None:
        return Copy(slot, 0, size * 8, extend == "sign")
    return Load(memory, extend == "sign")


def effect(function: Function, index: int, place: Place, preserves: bool = False) -> Effect | None:
    """What the place holds after an instruction, in terms of what was before it.

    :param preserves: the instruction calls a function which preserves all registers
    :return: ``None`` where the instruction leaves the place alone
    """
    row = function.instructions[index]
    if isinstance(place, Slot):
        return _slot_effect(function, index, place)
    if row.is_call:
        if preserves or place not in CALL_CLOBBERS:
            return None
        return Returned(row.target) if place == "rax" else Lost(f"any call may change {place}")
    if place not in row.written:
        return None
    return _register_effect(function, index, row, place)


def _register_effect(function: Function, index: int, row: Instruction, place: str) -> Effect:
    first = row.operands[0] if row.operands else Operand()
    second = row.operands[1] if len(row.operands) > 1 else Operand()
    name = row.mnemonic
    is_first = first.register is not None and whole_register(first.register) == place
    if name == "pop" and is_first:
        depth = function.depth[index]
        return Lost("popped from an unknown place") if depth is None else Copy(Slot(-depth))
    if name == "xchg":
        other = second if is_first else first
        return _source(function, index, other, None) if other.size == 8 else Lost(row.text)
    if name == "cdqe":
        return Copy(place, 0, 32, signed=True)
    if not is_first or first.size < 4:
        return Lost(f"changed by {row.text}")
    if name in ("mov", "movabs"):
        moved = _source(function, index, second, None)
        if isinstance(moved, Constant):
            return Constant(moved.value & (MASK if first.size == 8 else 0xFFFFFFFF))
        return moved
    if name in ("movzx", "movsx", "movsxd"):
        return _source(function, index, second, "zero" if name == "movzx" else "sign")
    if name == "lea" and second.memory is not None:
        return _address(row, second.memory)
    if name in ("xor", "sub") and second.register == first.register:
        return Constant(0)
    if name.startswith("cmov"):
        return Either(Copy(place), _source(function, index, second, None))
    if name == "and" and second.immediate == 0:
        return Constant(0)
    if name == "or" and second.immediate is not None and signed(second.immediate, 32) == -1:
        return Constant(MASK if first.size == 8 else 0xFFFFFFFF)
    if first.size == 8 and name in ("add", "sub") and second.immediate is not None:
        amount = signed(second.immediate)
        return Copy(place, amount if name == "add" else -amount)
    if first.size == 8 and name in ("inc", "dec"):
        return Copy(place, 1 if name == "inc" else -1)
    return _arithmetic(function, index, row)


_NAMES = {"sal": "shl", "inc": "add", "dec": "sub"}


def _arithmetic(function: Function, index: int, row: Instruction) -> Effect:
    """What an instruction computes of its operands."""
    name, size = _NAMES.get(row.mnemonic, row.mnemonic), row.operands[0].size
    sources = [_source(function, index, operand, None) for operand in row.operands]
    if row.mnemonic in ("inc", "dec"):
        sources.append(Constant(1))
    if len(sources) == 3:
        # "imul rax, rdx, 24": the first is only written.
        sources = sources[1:]
    if name == "sbb" and len(sources) == 2 and sources[0] == sources[1]:
        return Either(Constant(0), Constant(MASK >> (64 - 8 * size)))
    known = (name in BINARY and len(sources) == 2) or (name in UNARY and len(sources) == 1)
    if not known or any(isinstance(source, Lost) for source in sources):
        return Lost(f"computed by {row.text}")
    return Operation(name, tuple(sources), size)


def _address(row: Instruction, memory: Memory) -> Effect:
    """``lea``."""
    size = row.operands[0].size
    if memory.segment is not None:
        return Lost(f"computed by {row.text}")
    if memory.base == "rip":
        return Constant((row.end + memory.displacement) & MASK)
    displacement = Constant(memory.displacement & MASK)
    base = displacement if memory.base is None else Copy(memory.base, memory.displacement)
    if memory.index is not None:
        scaled: Effect = Copy(memory.index)
        if memory.scale > 1:
            scaled = Operation("imul", (scaled, Constant(memory.scale)), 8)
        return Operation("add", (base, scaled), size)
    if size < 8 and isinstance(base, Copy):
        return Operation("add", (Copy(base.source), displacement), size)
    return base


def _slot_effect(function: Function, index: int, place: Slot) -> Effect | None:
    row = function.instructions[index]
    depth = function.depth[index]
    if row.mnemonic == "push" and depth is not None:
        if place.offset != -(depth + 8):
            return None
        return _source(function, index, row.operands[0], None)
    if row.is_call:
        if depth is not None and place.offset < -depth:
            return Lost("below the stack pointer of a call")
        return None
    for position, operand in enumerate(row.operands):
        if operand.memory is None or not operand.writes:
            continue
        slot = slot_of(function, index, operand.memory)
        if slot is None:
            continue
        if slot.offset + operand.size <= place.offset or place.offset + 8 <= slot.offset:
            continue
        whole = slot == place and operand.size == 8
        if whole and row.mnemonic == "mov" and position == 0:
            moved = _source(function, index, row.operands[1], None)
            if isinstance(moved, Constant):
                return Constant(signed(moved.value) & MASK)
            return moved
        if slot == place and row.mnemonic == "mov" and operand.size == 4:
            # A 32-bit variable: its slot's upper half belongs to another.
            moved = _source(function, index, row.operands[1], None)
            return moved if isinstance(moved, Constant) else Lost(f"changed by {row.text}")
        return Lost(f"changed by {row.text}")
    return None

"""x86-64 machine code, one instruction at a time: what each leaves in registers and stack slots.

Values are kept as expressions of the function's arguments, constants and loads, not as numbers.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.kernel.calling_convention import CALLER_SAVED
from oopsight.kernel.disassembler import (
    IMMEDIATE,
    MEMORY,
    MEMORY_OPERAND,
    OPERAND,
    READ,
    REGISTER,
    WRITE,
    disassemble,
    register_name,
)

MASK = (1 << 64) - 1
MOST_INSTRUCTIONS = 8000
_ONLY_READ = ("cmp", "test", "div", "idiv", "mul", "imul", "push", "call", "jmp", "nop", "bt")
"""Instructions that only read memory as their first operand."""
FRAME = "frame"
"""The base of addresses on the own stack: the caller's stack pointer."""
PER_CPU = "gs"
"""The base of addresses in the CPU's own area."""
RIP, GS = 41, 33  # capstone/x86.h of version 5
SLOT = "@"
"""Begins the names of stack slots."""
KEEP_FLAGS = ("mov", "movabs", "movzx", "movsx", "movsxd", "lea", "push", "pop", "nop", "leave")
"""Instructions between a comparison and its jump that leave the flags as they are."""
_RESULT = "result of "
_SETS_ALL = 4
"""Bytes of a register that are set with the rest of it."""
BELOW_ERRORS = -4096 & MASK
"""What ``IS_ERR()`` compares with: the error codes, 4095 of them, are the numbers above it."""


class Expression(NamedTuple):
    """A value as the code makes it: a base, by name, plus an offset."""

    base: str
    """``""`` for a constant; ``rdi`` for the argument; ``[...]`` for a load."""
    offset: int
    """In bytes, modulo 2**64."""

    def plus(self, offset: int) -> Expression:
        """The same, further on."""
        return Expression(self.base, (self.offset + offset) & MASK)

    def __str__(self) -> str:
        if not self.base:
            return f"{self.offset:#x}"
        signed = self.offset - (1 << 64) if self.offset >> 63 else self.offset
        return f"{self.base}{signed:+#x}" if signed else self.base


Registers = dict[str, Expression]
"""By name; stack slots as ``@`` and their offset from the caller's stack pointer."""


def result_of(site: int) -> Expression:
    """What the call at an address returned."""
    return Expression(f"{_RESULT}{site:#x}", 0)


def call_that_returned(value: Expression) -> int | None:
    """The address of the call whose result a value is, or is counted from; ``None`` for others."""
    base = value.base
    return int(base.removeprefix(_RESULT), 16) if base.startswith(_RESULT) else None


def at_entry(register: str) -> Expression:
    """What a register that calls keep held when the function began: its caller's."""
    return Expression(f"entry {register}", 0)


class Memory(NamedTuple):
    """An operand in memory; registers by capstone's numbers, 0 for none."""

    segment: int
    base: int
    indexed: int
    scale: int
    disp: int


class Operand(NamedTuple):
    """What an instruction works on."""

    type: int
    """``REGISTER``, ``IMMEDIATE`` or ``MEMORY``."""
    size: int
    """In bytes."""
    reg: int = 0
    """Capstone's number; see :func:`register_of`."""
    imm: int = 0
    """With its sign."""
    mem: Memory = Memory(0, 0, 0, 1, 0)
    access: int = 0
    """``READ``, ``WRITE`` or both; 0 for an immediate."""


@dataclass
class Instruction:
    """A decoded instruction."""

    address: int
    size: int
    mnemonic: str
    operands: tuple[Operand, ...]
    written: tuple[str, ...]
    read: tuple[str, ...]
    """Registers, by their 64-bit names."""
    text: str
    """The operands, disassembled."""

    @property
    def end(self) -> int:
        """Address of the next one."""
        return self.address + self.size


_SUM = re.compile(r"(?P<base>.*\]|[^\[\]]*?)(?P<offset>[+-]0x[0-9a-f]+)?")


def parsed(text: str) -> Expression | None:
    """An expression from what it was written as within a load."""
    if re.fullmatch(r"0x[0-9a-f]+", text):
        return Expression("", int(text, 16))
    match = _SUM.fullmatch(text)
    if match is None or not match["base"]:
        return None
    return Expression(match["base"], int(match["offset"] or "0", 16) & MASK)


def direct_target(instruction: Instruction) -> int | None:
    """Where a call or jump leads; ``None`` where a register or memory tells."""
    if len(instruction.operands) != 1:
        return None
    operand = instruction.operands[0]
    return operand.imm & MASK if operand.type == IMMEDIATE else None


def pointer_read_through(instruction: Instruction) -> str | None:
    """The register through which an instruction reads a pointer into another (or the same) one."""
    operands = instruction.operands
    if instruction.mnemonic != "mov" or len(operands) != 2 or operands[0].size != 8:
        return None
    kinds = [operand.type for operand in operands]
    if kinds != [REGISTER, MEMORY] or operands[1].mem.segment:
        return None
    return register_of(operands[1].mem.base)


def counted(instruction: Instruction, offset: int | None) -> int | None:
    """By how much an instruction changes a per-CPU counter; ``None`` where it does not.

    :param offset: of the counter in the per-CPU area
    """
    name, operands = instruction.mnemonic, instruction.operands
    if offset is None or name not in ("inc", "dec", "add", "sub"):
        return None
    first = operands[0]
    if first.type != MEMORY or first.mem.segment != GS:
        return None
    address = first.mem.disp
    if first.mem.base == RIP:
        address += instruction.end
    elif first.mem.base or first.mem.indexed:
        return None
    if address & MASK != offset & MASK:
        return None
    if len(operands) == 1:
        return 1 if name == "inc" else -1
    if operands[1].type != IMMEDIATE:
        return None
    return int(operands[1].imm if name == "add" else -operands[1].imm)


def assign(instruction: Instruction, registers: Registers) -> None:
    """What an instruction that neither calls nor jumps leaves in the registers."""
    value: Expression | None = None
    name, operands = instruction.mnemonic, instruction.operands
    if name in ("push", "pop", "leave"):
        _stack(instruction, registers)
        return
    if operands and operands[0].type == MEMORY:
        _store(instruction, registers)
    destination: str | None = None
    if len(operands) == 2 and operands[0].type == REGISTER:
        destination = instruction.written[0] if instruction.written else None
        wide = operands[0].size == 8
        if name in ("mov", "movabs") and wide:
            value = _source(instruction, operands[1], registers)
        elif name == "lea" and wide:
            value = _place(instruction, operands[1], registers)
        elif name in ("add", "sub") and wide and operands[1].type == IMMEDIATE:
            known = registers.get(destination or "")
            change = operands[1].imm if name == "add" else -operands[1].imm
            value = known.plus(change) if known is not None else None
        elif name == "mov" and operands[1].type == IMMEDIATE:
            value = Expression("", operands[1].imm & 0xFFFFFFFF)
        elif name == "xor" and operands[1].type == REGISTER and operands[0].reg == operands[1].reg:
            value = Expression("", 0) if operands[0].size >= _SETS_ALL else None
    for register in instruction.written:
        registers.pop(register, None)
    if value is not None and destination is not None:
        registers[destination] = value


def after_call(call: Instruction, registers: Registers) -> None:
    """What a call leaves in the registers."""
    for register in CALLER_SAVED:
        registers.pop(register, None)
    registers["rax"] = result_of(call.address)


def slot_of(place: Expression | None) -> str | None:
    """The name of the stack slot at an address; ``None`` where it is not on the own stack."""
    if place is None or place.base != FRAME:
        return None
    signed = place.offset - (1 << 64) if place.offset >> 63 else place.offset
    return f"{SLOT}{signed}"


def _put(registers: Registers, place: str | None, value: Expression | None) -> None:
    if place is None:
        return
    registers.pop(place, None)
    if value is not None:
        registers[place] = value


def _stack(instruction: Instruction, registers: Registers) -> None:
    """``push``, ``pop`` and ``leave``."""
    pointer = registers.get("rsp")
    if instruction.mnemonic == "leave":
        pointer = registers.get("rbp")
        slot = slot_of(pointer)
        _put(registers, "rbp", registers.get(slot) if slot else None)
    elif instruction.mnemonic == "push":
        pointer = pointer.plus(-8) if pointer is not None else None
        _put(registers, slot_of(pointer), _source(instruction, instruction.operands[0], registers))
        _put(registers, "rsp", pointer)
        return
    else:
        slot = slot_of(pointer)
        name = register_of(instruction.operands[0].reg)
        _put(registers, name, registers.get(slot) if slot else None)
    _put(registers, "rsp", pointer.plus(8) if pointer is not None else None)


def _store(instruction: Instruction, registers: Registers) -> None:
    """A store to the own stack is remembered; one to elsewhere is taken not to reach there."""
    slot = slot_of(_place(instruction, instruction.operands[0], registers))
    if slot is None or instruction.mnemonic in ("cmp", "test"):
        return
    value = None
    if instruction.mnemonic == "mov" and instruction.operands[0].size == 8:
        value = _source(instruction, instruction.operands[1], registers)
    _put(registers, slot, value)


def _source(instruction: Instruction, operand: Operand, registers: Registers) -> Expression | None:
    if operand.type == IMMEDIATE:
        return Expression("", operand.imm & MASK)
    if operand.type == REGISTER:
        return registers.get(register_of(operand.reg) or "")
    per_cpu = _per_cpu(instruction, operand)
    if per_cpu is not None:
        return Expression(f"[{PER_CPU}{per_cpu:+#x}]", 0)
    place = _place(instruction, operand, registers)
    slot = slot_of(place)
    if slot is not None:
        return registers.get(slot)
    return Expression(f"[{place}]", 0) if place is not None else None


def _per_cpu(instruction: Instruction, operand: Operand) -> int | None:
    """Where in the CPU's own area a memory operand lies, as ``current`` does."""
    if operand.type != MEMORY or operand.mem.segment != GS:
        return None
    if operand.mem.indexed or operand.mem.base not in (0, RIP):
        return None
    after = instruction.end if operand.mem.base else 0
    return int(operand.mem.disp + after) & MASK


def _place(instruction: Instruction, operand: Operand, registers: Registers) -> Expression | None:
    """The address that a memory operand means."""
    if operand.type != MEMORY or operand.mem.indexed or operand.mem.segment:
        return None
    if operand.mem.base == RIP:
        return Expression("", (instruction.end + operand.mem.disp) & MASK)
    if not operand.mem.base:
        return Expression("", operand.mem.disp & MASK)
    base = registers.get(register_of(operand.mem.base) or "")
    return base.plus(operand.mem.disp) if base is not None else None


def memory_place(instruction: Instruction, registers: Registers) -> Expression | None:
    """The address of the memory that an instruction reads or writes; ``lea`` does neither."""
    if instruction.mnemonic == "lea":
        return None
    for operand in instruction.operands:
        if operand.type == MEMORY:
            return _place(instruction, operand, registers)
    return None


def accessed_size(instruction: Instruction) -> int | None:
    """How many bytes of memory an instruction reads or writes; ``None`` where it does neither."""
    if instruction.mnemonic in ("lea", "nop"):
        return None
    memory = (o for o in instruction.operands if o.type == MEMORY)
    return next((int(operand.size) for operand in memory), None)


def address_registers(instruction: Instruction) -> tuple[str, ...]:
    """The registers that make the address of the memory which an instruction names."""
    memory = [o.mem for o in instruction.operands if o.type == MEMORY]
    return _named([number for mem in memory for number in (mem.base, mem.indexed)])


def writes_memory(instruction: Instruction) -> bool:
    """Whether its first operand is memory."""
    return bool(instruction.operands) and instruction.operands[0].type == MEMORY


def sets(instruction: Instruction, register: str, number: int) -> bool:
    """Whether it puts a constant into a register."""
    operands = instruction.operands
    if instruction.mnemonic != "mov" or operands[1].type != IMMEDIATE:
        return False
    return register in instruction.written and bool(operands[1].imm == number)


def stores(instruction: Instruction) -> bool:
    """Whether it changes memory that its first operand names."""
    return writes_memory(instruction) and instruction.mnemonic not in _ONLY_READ


def stored(instruction: Instruction, registers: Registers) -> Expression | None:
    """What a ``mov`` of a whole word stores in memory; ``None`` where that is not known."""
    operands = instruction.operands
    if instruction.mnemonic != "mov" or not writes_memory(instruction) or operands[0].size != 8:
        return None
    return _source(instruction, operands[1], registers)


def stored_number(instruction: Instruction, registers: Registers) -> int | None:
    """The constant that a ``mov`` stores in memory; ``None`` where it is none, or not known."""
    source = instruction.operands[1]
    if source.type == IMMEDIATE:
        return int(source.imm) & MASK
    known = registers.get(register_of(source.reg) or "")
    return known.offset if known is not None and not known.base else None


def compared_number(instruction: Instruction) -> tuple[str, int] | None:
    """A register and the number that it is compared with: 0 by a ``test`` of it with itself."""
    name, operands = instruction.mnemonic, instruction.operands
    if name not in ("test", "cmp") or len(operands) != 2 or operands[0].type != REGISTER:
        return None
    register, second = register_of(operands[0].reg), operands[1]
    if register is None:
        return None
    if name == "test":
        same = second.type == REGISTER and second.reg == operands[0].reg
        return (register, 0) if same else None
    return (register, second.imm & MASK) if second.type == IMMEDIATE else None


def lowers(instruction: Instruction, registers: Registers) -> bool:
    """Whether it takes a number in memory down."""
    name, operands = instruction.mnemonic, instruction.operands
    if name not in ("dec", "sub", "add", "xadd") or not writes_memory(instruction):
        return False
    if len(operands) == 1:
        return name == "dec"
    by = operands[1].imm if operands[1].type == IMMEDIATE else None
    if by is None:
        known = registers.get(register_of(operands[1].reg) or "")
        if known is None or known.base:
            return name == "sub"
        half = 1 << 8 * operands[0].size - 1
        by = (known.offset + half) % (2 * half) - half
    return bool((by < 0) == (name != "sub"))


REGISTERS = tuple(f"r{name}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp"))
REGISTERS += tuple(f"r{number}" for number in range(8, 16))
_WHOLE = {
    **{f"{p}{r}{s}": f"r{r}{s}" for r in "abcd" for p, s in (("r", "x"), ("e", "x"), ("", "x"))},
    **{f"{r}{part}": f"r{r}x" for r in "abcd" for part in "lh"},
    **{f"{p}{r}": f"r{r}" for r in ("si", "di", "bp", "sp") for p in ("r", "e", "")},
    **{f"{r}l": f"r{r}" for r in ("si", "di", "bp", "sp")},
    **{f"r{n}{part}": f"r{n}" for n in range(8, 16) for part in ("", "d", "w", "b")},
}


@functools.cache
def register_of(number: int) -> str | None:
    """The 64-bit name of the general register that an operand names, or a part of."""
    return _WHOLE.get(register_name(number) or "")


@functools.lru_cache(maxsize=1 << 14)
def _operand(part: bytes) -> Operand:
    """Of a ``cs_x86_op``. Most of them are one of a few."""
    kind, value, size, access = OPERAND.unpack(part)
    if kind == IMMEDIATE:
        return Operand(kind, size, imm=int.from_bytes(value[:8], "little", signed=True))
    if kind == MEMORY:
        return Operand(kind, size, mem=Memory(*MEMORY_OPERAND.unpack(value)), access=access)
    return Operand(kind, size, reg=int.from_bytes(value[:4], "little"), access=access)


@functools.lru_cache(maxsize=1 << 12)
def _registers(
    used: tuple[int, ...], changed: tuple[int, ...], operands: tuple[Operand, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The general registers that an instruction reads, and those that it writes.

    :param used: registers that it reads without naming them
    :param changed: registers that it writes without naming them
    """
    read, written = [*used], [*changed]
    for one in operands:
        if one.type == MEMORY:
            read += (one.mem.segment, one.mem.base, one.mem.indexed)
        elif one.type == REGISTER:
            read += [one.reg] if one.access & READ else []
            written += [one.reg] if one.access & WRITE else []
    if operands and operands[0].type == REGISTER and operands[0].reg in written:
        written.insert(0, operands[0].reg)
    return _named(read), _named(written)


def _named(numbers: list[int]) -> tuple[str, ...]:
    """Each general register once."""
    names = (register_of(number) for number in numbers)
    return tuple(dict.fromkeys(name for name in names if name is not None))


def decode(code: bytes, start: int) -> dict[int, Instruction]:
    """Instructions by address; a padding of zeros or an unknown one ends the function."""
    found: dict[int, Instruction] = {}
    for row in disassemble(code, start, MOST_INSTRUCTIONS, detail=True):
        operands = tuple(map(_operand, row.parts))
        read, written = _registers(row.used, row.changed, operands)
        found[row.address] = Instruction(
            row.address,
            len(row.code),
            row.mnemonic.removeprefix("lock ").removeprefix("notrack "),
            operands,
            written,
            read,
            row.operands,
        )
    return found

"""x86-64 machine code, one instruction at a time: what each leaves in registers and stack slots.

Values are kept as expressions of the function's arguments, constants and loads, not as numbers.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from oopsight.cheap import dataclass

MASK = (1 << 64) - 1
MOST_INSTRUCTIONS = 8000
_ONLY_READ = ("cmp", "test", "div", "idiv", "mul", "imul", "push", "call", "jmp", "nop", "bt")
"""Instructions that only read memory as their first operand."""
FRAME = "frame"
"""The base of addresses on the own stack: the caller's stack pointer."""
PER_CPU = "gs"
"""The base of addresses in the CPU's own area."""
SLOT = "@"
"""Begins the names of stack slots."""


class Expression(NamedTuple):
    """A value as the code makes it: a base, by name, plus an offset."""

    base: str
    """``""`` for a constant; ``rdi`` for the argument; ``[...]`` for a load."""
    offset: int

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


@dataclass
class Instruction:
    """A decoded instruction."""

    address: int
    size: int
    mnemonic: str
    operands: list[Any]
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
    import capstone.x86

    if len(instruction.operands) != 1:
        return None
    operand = instruction.operands[0]
    return operand.imm & MASK if operand.type == capstone.x86.X86_OP_IMM else None


def pointer_read_through(instruction: Instruction) -> str | None:
    """The register through which an instruction reads a pointer into another (or the same) one."""
    import capstone.x86

    operands = instruction.operands
    if instruction.mnemonic != "mov" or len(operands) != 2 or operands[0].size != 8:
        return None
    kinds = [operand.type for operand in operands]
    if kinds != [capstone.x86.X86_OP_REG, capstone.x86.X86_OP_MEM] or operands[1].mem.segment:
        return None
    return _NAMES.get(operands[1].mem.base)


def counted(instruction: Instruction, offset: int | None) -> int | None:
    """By how much an instruction changes a per-CPU counter; ``None`` where it does not.

    :param offset: of the counter in the per-CPU area
    """
    import capstone.x86

    name, operands = instruction.mnemonic, instruction.operands
    if offset is None or name not in ("inc", "dec", "add", "sub"):
        return None
    first = operands[0]
    if first.type != capstone.x86.X86_OP_MEM or first.mem.segment != capstone.x86.X86_REG_GS:
        return None
    address = first.mem.disp
    if first.mem.base == capstone.x86.X86_REG_RIP:
        address += instruction.end
    elif first.mem.base or first.mem.index:
        return None
    if address & MASK != offset & MASK:
        return None
    if len(operands) == 1:
        return 1 if name == "inc" else -1
    if operands[1].type != capstone.x86.X86_OP_IMM:
        return None
    return int(operands[1].imm if name == "add" else -operands[1].imm)


def assign(instruction: Instruction, registers: Registers) -> None:
    """What an instruction that neither calls nor jumps leaves in the registers."""
    import capstone.x86

    value: Expression | None = None
    name, operands = instruction.mnemonic, instruction.operands
    if name in ("push", "pop", "leave"):
        _stack(instruction, registers)
        return
    if operands and operands[0].type == capstone.x86.X86_OP_MEM:
        _store(instruction, registers)
    destination: str | None = None
    if len(operands) == 2 and operands[0].type == capstone.x86.X86_OP_REG:
        destination = instruction.written[0] if instruction.written else None
        wide = operands[0].size == 8
        if name in ("mov", "movabs") and wide:
            value = _source(instruction, operands[1], registers)
        elif name == "lea" and wide:
            value = _place(instruction, operands[1], registers)
        elif name in ("add", "sub") and wide and operands[1].type == capstone.x86.X86_OP_IMM:
            known = registers.get(destination or "")
            change = operands[1].imm if name == "add" else -operands[1].imm
            value = known.plus(change) if known is not None else None
        elif name == "mov" and operands[1].type == capstone.x86.X86_OP_IMM:
            value = Expression("", operands[1].imm & 0xFFFFFFFF)
    for register in instruction.written:
        registers.pop(register, None)
    if value is not None and destination is not None:
        registers[destination] = value


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
        name = _NAMES.get(instruction.operands[0].reg)
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


def _source(instruction: Instruction, operand: Any, registers: Registers) -> Expression | None:
    import capstone.x86

    if operand.type == capstone.x86.X86_OP_IMM:
        return Expression("", operand.imm & MASK)
    if operand.type == capstone.x86.X86_OP_REG:
        return registers.get(_NAMES.get(operand.reg, ""))
    per_cpu = _per_cpu(instruction, operand)
    if per_cpu is not None:
        return Expression(f"[{PER_CPU}{per_cpu:+#x}]", 0)
    place = _place(instruction, operand, registers)
    slot = slot_of(place)
    if slot is not None:
        return registers.get(slot)
    return Expression(f"[{place}]", 0) if place is not None else None


def _per_cpu(instruction: Instruction, operand: Any) -> int | None:
    """Where in the CPU's own area a memory operand lies, as ``current`` does."""
    import capstone.x86

    if operand.type != capstone.x86.X86_OP_MEM or operand.mem.segment != capstone.x86.X86_REG_GS:
        return None
    if operand.mem.index or operand.mem.base not in (0, capstone.x86.X86_REG_RIP):
        return None
    after = instruction.end if operand.mem.base else 0
    return int(operand.mem.disp + after) & MASK


def _place(instruction: Instruction, operand: Any, registers: Registers) -> Expression | None:
    """The address that a memory operand means."""
    import capstone.x86

    if operand.type != capstone.x86.X86_OP_MEM or operand.mem.index or operand.mem.segment:
        return None
    if operand.mem.base == capstone.x86.X86_REG_RIP:
        return Expression("", (instruction.end + operand.mem.disp) & MASK)
    if not operand.mem.base:
        return Expression("", operand.mem.disp & MASK)
    base = registers.get(_NAMES.get(operand.mem.base, ""))
    return base.plus(operand.mem.disp) if base is not None else None


def memory_place(instruction: Instruction, registers: Registers) -> Expression | None:
    """The address of the memory that an instruction reads or writes; ``lea`` does neither."""
    import capstone.x86

    if instruction.mnemonic == "lea":
        return None
    for operand in instruction.operands:
        if operand.type == capstone.x86.X86_OP_MEM:
            return _place(instruction, operand, registers)
    return None


def accessed_size(instruction: Instruction) -> int | None:
    """How many bytes of memory an instruction reads or writes; ``None`` where it does neither."""
    import capstone.x86

    if instruction.mnemonic in ("lea", "nop"):
        return None
    memory = (o for o in instruction.operands if o.type == capstone.x86.X86_OP_MEM)
    return next((int(operand.size) for operand in memory), None)


def address_registers(instruction: Instruction) -> tuple[str, ...]:
    """The registers that make the address of the memory which an instruction names."""
    import capstone.x86

    memory = [o.mem for o in instruction.operands if o.type == capstone.x86.X86_OP_MEM]
    numbers = [number for mem in memory for number in (mem.base, mem.index)]
    return tuple(_NAMES[number] for number in numbers if number in _NAMES)


def register_of(number: int) -> str | None:
    """The 64-bit name of the register that an operand names, or a part of; of a known one."""
    return _NAMES.get(number)


def writes_memory(instruction: Instruction) -> bool:
    """Whether its first operand is memory."""
    import capstone.x86

    return bool(instruction.operands) and instruction.operands[0].type == capstone.x86.X86_OP_MEM


def sets(instruction: Instruction, register: str, number: int) -> bool:
    """Whether it puts a constant into a register."""
    import capstone.x86

    operands = instruction.operands
    if instruction.mnemonic != "mov" or operands[1].type != capstone.x86.X86_OP_IMM:
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
    import capstone.x86

    source = instruction.operands[1]
    if source.type == capstone.x86.X86_OP_IMM:
        return int(source.imm) & MASK
    known = registers.get(_NAMES.get(source.reg, ""))
    return known.offset if known is not None and not known.base else None


def lowers(instruction: Instruction, registers: Registers) -> bool:
    """Whether it takes a number in memory down."""
    import capstone.x86

    name, operands = instruction.mnemonic, instruction.operands
    if name not in ("dec", "sub", "add", "xadd") or not writes_memory(instruction):
        return False
    if len(operands) == 1:
        return name == "dec"
    by = operands[1].imm if operands[1].type == capstone.x86.X86_OP_IMM else None
    if by is None:
        known = registers.get(_NAMES.get(operands[1].reg, ""))
        if known is None or known.base:
            return name == "sub"
        half = 1 << 8 * operands[0].size - 1
        by = (known.offset + half) % (2 * half) - half
    return bool((by < 0) == (name != "sub"))


REGISTERS = tuple(f"r{name}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp"))
REGISTERS += tuple(f"r{number}" for number in range(8, 16))
_NAMES: dict[int, str] = {}
"""Capstone's numbers of the 64-bit registers; of the parts of them as well, see decode()."""
_WHOLE = {
    **{f"{p}{r}{s}": f"r{r}{s}" for r in "abcd" for p, s in (("r", "x"), ("e", "x"), ("", "x"))},
    **{f"{r}{part}": f"r{r}x" for r in "abcd" for part in "lh"},
    **{f"{p}{r}": f"r{r}" for r in ("si", "di", "bp", "sp") for p in ("r", "e", "")},
    **{f"{r}l": f"r{r}" for r in ("si", "di", "bp", "sp")},
    **{f"r{n}{part}": f"r{n}" for n in range(8, 16) for part in ("", "d", "w", "b")},
}


def decode(code: bytes, start: int) -> dict[int, Instruction]:
    """Instructions by address; a padding of zeros or an unknown one ends the function."""
    import capstone

    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    engine.detail = True
    if not _NAMES:
        for number in range(1, capstone.x86.X86_REG_ENDING):
            whole = _WHOLE.get(engine.reg_name(number) or "")
            if whole:
                _NAMES[number] = whole
    found: dict[int, Instruction] = {}
    for instruction in engine.disasm(code, start):
        if len(found) >= MOST_INSTRUCTIONS:
            break
        read, written = instruction.regs_access()
        names = dict.fromkeys(_NAMES[r] for r in written if r in _NAMES)
        operands = list(instruction.operands)
        if operands and operands[0].type == capstone.x86.X86_OP_REG:
            first = _NAMES.get(operands[0].reg)
            if first in names:
                names = {first: None, **names}
        mnemonic = instruction.mnemonic.removeprefix("lock ").removeprefix("notrack ")
        found[instruction.address] = Instruction(
            instruction.address,
            instruction.size,
            mnemonic,
            operands,
            tuple(names),
            tuple(dict.fromkeys(_NAMES[r] for r in read if r in _NAMES)),
            instruction.op_str,
        )
    return found

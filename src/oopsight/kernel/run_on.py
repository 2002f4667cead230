"""Where code goes on to read, from the values that its registers held. x86-64.

Only what moves, adds and reads is worked out; any other result is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from oopsight.kernel.calling_convention import CALLER_SAVED
from oopsight.kernel.disassembler import IMMEDIATE, MEMORY, REGISTER
from oopsight.kernel.machine_code import MASK, RIP, Instruction, Operand, register_of

_MOVES = ("mov", "movabs", "movzx", "movsx", "movsxd")
_SIGNED = ("movsx", "movsxd")
_ADDS = ("add", "sub")
_LOW = 0xFFFFFFFF
_Read = Callable[[int, int], bytes | None]


def reads_ahead(
    rows: Iterable[Instruction], registers: dict[str, int], read: _Read
) -> Iterator[tuple[Instruction, int]]:
    """The instructions that access memory at a known address, and that address.

    :param rows: in the order in which they are carried out
    :param registers: by 64-bit names, before the first of them
    :param read: reads memory; ``None`` where that is not in the dump
    """
    known = dict(registers)
    for row in rows:
        address = _accessed(row, known)
        if address is not None and row.mnemonic != "lea":
            yield row, address
        value = _result(row, known, address, read)
        for name in CALLER_SAVED if row.mnemonic == "call" else row.written:
            known.pop(name, None)
        if value is not None and row.written:
            known[row.written[0]] = value


def _accessed(row: Instruction, known: dict[str, int]) -> int | None:
    """The address that its memory operand means."""
    memory = next((o.mem for o in row.operands if o.type == MEMORY), None)
    if memory is None or memory.segment:
        return None
    if memory.base == RIP:
        return (row.end + memory.disp) & MASK
    address = memory.disp
    for number, scale in ((memory.base, 1), (memory.indexed, memory.scale)):
        value = known.get(register_of(number) or "") if number else 0
        if value is None:
            return None
        address += value * scale
    return address & MASK


def _result(
    row: Instruction, known: dict[str, int], address: int | None, read: _Read
) -> int | None:
    """What it leaves in the register that is its first operand."""
    # What it writes of less than half a register leaves the rest of it as it was.
    if len(row.operands) != 2 or row.operands[0].type != REGISTER:
        return None
    to, source = row.operands
    if to.size < 4:
        return None
    mask = MASK if to.size == 8 else _LOW
    if row.mnemonic == "lea":
        return None if address is None else address & mask
    value = _value(source, known, address, read)
    if row.mnemonic in _ADDS:
        before = known.get(register_of(to.reg) or "")
        if value is None or before is None:
            return None
        return (before + value if row.mnemonic == "add" else before - value) & mask
    if value is None or row.mnemonic not in _MOVES:
        return None
    half = 1 << 8 * source.size - 1
    return ((value + half) % (2 * half) - half if row.mnemonic in _SIGNED else value) & mask


def _value(operand: Operand, known: dict[str, int], address: int | None, read: _Read) -> int | None:
    if operand.type == IMMEDIATE:
        return operand.imm
    if operand.type == REGISTER:
        value = known.get(register_of(operand.reg) or "")
        # The second byte of a register is none of its low bytes.
        return None if value is None or operand.size < 2 else value & ((1 << 8 * operand.size) - 1)
    raw = read(address, operand.size) if address is not None else None
    return int.from_bytes(raw, "little") if raw is not None else None

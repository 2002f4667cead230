"""The access that KASAN was to check when its own look at the shadow failed.

A kernel built with ``CONFIG_KASAN_INLINE`` reads, before an access, the byte of shadow that stands
for what is accessed. Of an address that is none, NULL as well, there is no shadow: reading it is a
general protection fault, at ``0xdffffc0000000000`` plus an eighth of the address. What the machine
could not do is the access that follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.session import Session

if TYPE_CHECKING:
    from oopsight.evidence.flow.instructions import Instruction, Memory

# arch/x86/Kconfig, KASAN_SHADOW_OFFSET; one shadow byte stands for eight of memory.
OFFSET, SHIFT = 0xDFFFFC0000000000, 3
_MASK = (1 << 64) - 1
_END = OFFSET + (1 << 64 - SHIFT)
_WINDOW = 256  # bytes of code behind the check
_MOST_TARGETS = 4


def shadow_of(address: int) -> int:
    """Where the shadow of an address is.

    >>> hex(shadow_of(0x2d2d2d2d2d2d2d2d))
    '0xe5a5a1a5a5a5a5a5'
    """
    return ((address >> SHIFT) + OFFSET) & _MASK


def checked_access(
    session: Session, pc: int, registers: dict[str, int], shadow: int | None
) -> Instruction | None:
    """The instruction whose access was to be checked.

    :param pc: of the instruction that read the shadow
    :param registers: as they were there
    :param shadow: the address that it read
    :return: ``None`` where that was no check of KASAN, or the access is not found
    """
    if shadow is None or not OFFSET <= shadow < _END or not _has_kasan(session):
        return None
    rows = _rows(session, pc)
    targets = [row.target for row in rows[:8] if row.is_jump and row.target is not None]
    ways = [rows[1:], *(_rows(session, target) for target in targets[:_MOST_TARGETS])]
    return next((row for way in ways for row in way if _accesses(row, registers, shadow)), None)


def address_of(memory: Memory, registers: dict[str, int], end: int) -> int | None:
    """What an operand comes to.

    :param end: of the instruction
    """
    if memory.segment in ("gs", "fs"):
        return None
    known = {**registers, "rip": end}
    parts = [(memory.base, 1), (memory.index, memory.scale)]
    if any(name is not None and name not in known for name, _ in parts):
        return None
    total = sum(known[name] * scale for name, scale in parts if name is not None)
    return (total + memory.displacement) & _MASK


def _has_kasan(session: Session) -> bool:
    try:
        session.prog.symbol("kasan_report")
    except LookupError:
        return False
    return True


def _rows(session: Session, start: int) -> tuple[Instruction, ...]:
    from drgn import FaultError

    from oopsight.evidence.flow.instructions import decode

    try:
        return decode(session.read(start, _WINDOW), start)
    except FaultError:
        return ()


def _accesses(row: Instruction, registers: dict[str, int], shadow: int) -> bool:
    for operand in row.operands:
        memory = operand.memory
        if memory is None or not (operand.reads or operand.writes):
            continue
        address = address_of(memory, registers, row.end)
        if address is not None and shadow in (
            shadow_of(address),
            shadow_of((address + max(memory.size, 1) - 1) & _MASK),
        ):
            return True
    return False

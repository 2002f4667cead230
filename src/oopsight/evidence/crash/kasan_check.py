"""The access that KASAN was to check, where its check stopped the machine.

A kernel built with ``CONFIG_KASAN_INLINE`` reads, before an access, the byte of shadow that stands
for what is accessed. Of an address that is none, NULL as well, there is no shadow: reading it is a
general protection fault, at ``0xdffffc0000000000`` plus an eighth of the address. With
``CONFIG_KASAN_OUTLINE`` a function is called, which reports such an address and, with
``panic_on_warn``, ends it there. What the machine could not do is the access that follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from oopsight.evidence import Missing
from oopsight.evidence.crash.log import Log
from oopsight.session import Session

if TYPE_CHECKING:
    from oopsight.evidence.flow.instructions import Instruction, Memory

# arch/x86/Kconfig, KASAN_SHADOW_OFFSET; one shadow byte stands for eight of memory.
OFFSET, SHIFT = 0xDFFFFC0000000000, 3
_MASK = (1 << 64) - 1
_END = OFFSET + (1 << 64 - SHIFT)
_REPORTER = "kasan_report"
_CHECKS = ("kasan_", "__asan_", "__kasan_", "check_region_inline", "check_memory_region")
_MOST_FRAMES = 32
_REPORT = re.compile(r"BUG: KASAN: (?P<what>[\w-]+) in ")
_ACCESS = re.compile(r"(?:Read|Write) of size \d+ at addr (?P<address>[0-9a-f]{16})\b")
# Of addresses without shadow, by get_wild_bug_type() in mm/kasan/report_generic.c.
_NONSENSE = ("null-ptr-deref", "user-memory-access", "wild-memory-access")
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
    """The instruction whose access was to be checked by a look at the shadow.

    :param pc: of the instruction that read the shadow
    :param registers: as they were there
    :param shadow: the address that it read
    :return: ``None`` where that was no check of KASAN, or the access is not found
    """
    if shadow is None or not OFFSET <= shadow < _END or not _has_kasan(session):
        return None

    def stands_for(address: int, size: int) -> bool:
        return shadow in (shadow_of(address), shadow_of((address + size - 1) & _MASK))

    rows = _rows(session, pc)
    targets = [row.target for row in rows[:8] if row.is_jump and row.target is not None]
    ways = [rows[1:], *(_rows(session, target) for target in targets[:_MOST_TARGETS])]
    return next((row for way in ways for row in way if _accesses(row, registers, stands_for)), None)


def reported_access(
    session: Session, pc: int, registers: dict[str, int], reported: int
) -> Instruction | None:
    """The instruction whose access was reported by a function that was called before it.

    :param pc: where that function was to return to
    :param registers: that such a call keeps
    :param reported: the address
    """

    def begins_there(address: int, size: int) -> bool:
        return address <= reported < address + size

    return next(
        (row for row in _rows(session, pc) if _accesses(row, registers, begins_there)), None
    )


def reported_address(log: Log | Missing) -> int | None:
    """The address of the last access that KASAN reported as one to no memory at all."""
    if isinstance(log, Missing):
        return None
    nonsense = False
    found = None
    for line in log.lines:
        if (head := _REPORT.match(line.text)) is not None:
            nonsense, found = head["what"] in _NONSENSE, None
        elif nonsense and (access := _ACCESS.match(line.text)) is not None:
            found = int(access["address"], 16)
    return found


def refused(names: Sequence[str]) -> int | None:
    """The frame whose access KASAN reported as the panic's cause.

    :param names: of the frames, innermost first
    """
    reports = [index for index, name in enumerate(names[:_MOST_FRAMES]) if name == _REPORTER]
    if not reports:
        return None
    checks = range(reports[-1] + 1, len(names))
    return next((index for index in checks if not names[index].startswith(_CHECKS)), None)


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


def _accesses(
    row: Instruction, registers: dict[str, int], wanted: Callable[[int, int], bool]
) -> bool:
    """Whether an instruction accesses memory of which *wanted* approves, by address and size."""
    for operand in row.operands:
        memory = operand.memory
        if memory is None or not (operand.reads or operand.writes):
            continue
        address = address_of(memory, registers, row.end)
        if address is not None and wanted(address, max(memory.size, 1)):
            return True
    return False

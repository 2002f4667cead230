"""An oops that the machine lived on after: ``panic_on_oops`` is off unless somebody sets it.

The task that met it is gone, and a dump that is made later, from outside, knows nothing of it but
what the log has: the registers, and the names of those that were called. As long as nobody else has
got the stack, it still holds what it did.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Missing
from oopsight.evidence.crash.log import collect as read_log
from oopsight.evidence.crash.standstill import has_panicked
from oopsight.kinds import Kind
from oopsight.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drgn import StackFrame

    from oopsight.oops import CrashReport
    from oopsight.oops.facts import Frame as TextFrame

_KNOWN = "oopsight-outlived"
"""In the program's cache."""
_EXCEPTIONS = {
    Kind.NULL_DEREF: "page_fault",
    Kind.PAGE_FAULT: "page_fault",
    Kind.GENERAL_PROTECTION: "general_protection",
    Kind.DIVIDE_ERROR: "divide_error",
    Kind.BUG: "invalid_op",
}
"""By what was reported, what met the code: named after its entry point."""
# As struct pt_regs has them, arch/x86/include/asm/ptrace.h, and as they are shown.
_REGISTERS = {
    **{f"r{number}": f"R{number:02}" for number in range(8, 16)},
    **{name: f"R{name.upper()}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")},
}
_STACK = re.compile(r"RSP: 0018:(?P<sp>[0-9a-f]{16})\b")
_MOST_FRAMES = 64
_CODE = 4  # bytes at the program counter that are compared


@dataclass(frozen=True)
class Outlived:
    """What the log has of the oops."""

    registers: Any
    """``struct pt_regs``."""
    exception: str
    trace: tuple[TextFrame, ...]
    """Its stack, innermost first."""


def outlived(session: Session) -> Outlived | None:
    """The first oops of a machine that has not panicked, where the log has its registers."""
    cache = session.prog.cache
    if _KNOWN not in cache:
        cache[_KNOWN] = None if has_panicked(session.prog) is not False else _first(session)
    found: Outlived | None = cache[_KNOWN]
    return found


def _first(session: Session) -> Outlived | None:
    log = read_log(session)
    reports = log.crashes if not isinstance(log, Missing) else ()
    for report in reports:
        if report.kind in _EXCEPTIONS and report.machine == "x86_64":
            registers = _registers(session, report)
            if registers is not None:
                trace = tuple(f for f in report.trace if f.reliable and not f.inline)
                return Outlived(registers, _EXCEPTIONS[report.kind], trace[:_MOST_FRAMES])
    return None


def _registers(session: Session, report: CrashReport) -> Any | None:
    """``struct pt_regs``, if the code at the program counter is still what was shown."""
    from drgn import Object, offsetof, sizeof

    place = report.instruction
    stack = next((m for _, text in report.text if (m := _STACK.match(text.lstrip()))), None)
    if place is None or place.offset is None or stack is None:
        return None
    known = {**dict(report.registers), "RSP": int(stack["sp"], 16)}
    try:
        pc = session.prog.symbol(place.function).address + place.offset
        kind = session.prog.type("struct pt_regs")
        data = bytearray(sizeof(kind))
        for member, shown in {**_REGISTERS, "ip": "RIP"}.items():
            value = pc if member == "ip" else known.get(shown, 0)
            at = offsetof(kind, member)
            data[at : at + 8] = value.to_bytes(8, "little")
    except (LookupError, SymbolError, OverflowError):
        return None
    return Object.from_bytes_(session.prog, kind, data) if _is_there(session, report, pc) else None


def _is_there(session: Session, report: CrashReport, pc: int) -> bool:
    """Whether the code from the program counter on is in memory, as far as it was shown."""
    from drgn import FaultError

    shown = "".join((report.code or "").partition("<")[2].replace(">", " ").split()[:_CODE])
    try:
        code = session.read(pc, _CODE)
        return code.startswith(bytes.fromhex(shown))
    except (FaultError, ValueError):
        return False


def still_there(frames: Iterable[StackFrame], known: Outlived) -> list[StackFrame]:
    """The frames that the log has as well, from the innermost on: the stack may be another's."""
    found: list[StackFrame] = []
    names = iter([one.function for one in known.trace])
    name = None
    for frame in frames:
        inner = found[-1] if found else None
        if inner is None or inner.pc != frame.pc or inner.sp != frame.sp:
            name = next(names, None)
        if _symbol(frame) != name:
            break
        found.append(frame)
    return found


def _symbol(frame: StackFrame) -> str | None:
    try:
        return str(frame.symbol().name)
    except LookupError:
        return None

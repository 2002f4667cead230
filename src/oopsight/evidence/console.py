"""The facts that a crash report in console text carries, for the rules that a dump's facts feed.

What the text does not tell stays missing, with that reason: where modules lie, what memory holds,
who waits for whom. Nothing is filled in by a guess.
"""

from __future__ import annotations

from oopsight.evidence import Address, Evidence, Missing, Why
from oopsight.evidence.address import BadAddress, nonsense
from oopsight.evidence.crash.backtrace import Backtrace, Frame, Role
from oopsight.evidence.crash.fault import DIVIDE_ERROR, INVALID_OPCODE, Fault, Operand
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import FramePointer, LogPointer, TaskPointer
from oopsight.kinds import Kind
from oopsight.oops import CrashReport
from oopsight.oops import Frame as TextFrame
from oopsight.plumbing import why_plumbing
from oopsight.text import printable

# Text gives a function and an offset, no address: a value beyond all addresses stands for it.
UNKNOWN_ADDRESS = Address(1 << 64)
NOT_IN_TEXT = "console text does not tell"

# The processor's exceptions, as the entry points of x86 name them, by what the headline says.
_EXCEPTIONS = {
    Kind.NULL_DEREF: "page_fault",
    Kind.PAGE_FAULT: "page_fault",
    Kind.GENERAL_PROTECTION: "general_protection",
    Kind.DIVIDE_ERROR: DIVIDE_ERROR,
    Kind.DOUBLE_FAULT: "double_fault",
    Kind.BUG: INVALID_OPCODE,
    Kind.LIST_CORRUPTION: INVALID_OPCODE,
}
# Headlines of detectors that stop by a call, whatever kind they report.
_CALLED = ("KASAN", "KFENCE", "KMSAN", "KCSAN", "UBSAN", "WARNING")


def evidence_of(report: CrashReport) -> Evidence:
    """Evidence without a dump, holding what the report's text tells.

    :param report: decoded, where its ``Code:`` line can be
    """
    evidence = Evidence(None)
    lines = tuple(
        LogPointer(seconds if seconds is not None else 0.0, printable(text))
        for seconds, text in report.text
    )
    headline = lines[0] if lines else None
    backtrace = _backtrace(report)
    facts: dict[type, object] = {
        Log: Log(lines, report.title, str(report.kind), report.function, (report,)),
        Symptom: Symptom(report.kind, report.title, "log", headline, report),
        Backtrace: backtrace,
        Fault: _fault(report, backtrace),
        CrashedTask: _task(report),
        BadAddress: _bad_address(report, backtrace),
        Modules: Missing(Why.NOT_TOLD, f"{NOT_IN_TEXT} where modules are loaded"),
    }
    evidence.facts.update(facts)
    return evidence


def _exception(report: CrashReport) -> str | None:
    """The exception that stopped the machine's code, if one did."""
    if any(word in report.title for word in _CALLED):
        return None
    return _EXCEPTIONS.get(report.kind)


def _backtrace(report: CrashReport) -> Backtrace | Missing:
    frames = report.trace
    exception = _exception(report)
    at = _fault_index(report) if exception else None
    rows: list[Frame] = []
    if at is None and exception and report.program_counter is not None:
        # The counter stood where no code is known: the trace begins with who called there.
        name = f"{report.program_counter:#x}"
        pc = Address(report.program_counter)
        rows.append(Frame(0, pc, UNKNOWN_ADDRESS, name, None, None, None, inline=False,
                          role=Role.FAULT, plumbing="no code is known there"))  # fmt: skip
        at = -1
    for index, one in enumerate(frames):
        if not one.reliable:
            continue
        if at is None or index > at:
            role = Role.CALLER
        else:
            role = (
                Role.FAULT if index == at or _inlined_into(frames, index, at) else Role.PANIC_PATH
            )
        rows.append(_frame(len(rows), one, role))
    if not rows:
        return Missing(Why.NOT_TOLD, "the report has no call trace")
    registers = tuple((name.lower(), Address(value)) for name, value in report.registers)
    return Backtrace(tuple(rows), registers, exception is not None and at is not None, exception)


def _fault_index(report: CrashReport) -> int | None:
    """Which frame of the trace the program counter was in."""
    pointer = report.instruction
    if pointer is None:
        return None
    return next(
        (
            index
            for index, one in enumerate(report.trace)
            if one.function == pointer.function and one.offset == pointer.offset
        ),
        None,
    )


def _inlined_into(frames: tuple[TextFrame, ...], index: int, at: int) -> bool:
    return all(one.inline for one in frames[index:at])


def _frame(index: int, one: TextFrame, role: Role) -> Frame:
    function = printable(one.function)
    source = f"{printable(one.file)}:{one.line}" if one.file else None
    symbol = None if one.offset is None else f"{function}+{one.offset:#x}"
    return Frame(
        index=index,
        pc=UNKNOWN_ADDRESS,
        sp=UNKNOWN_ADDRESS,
        function=function,
        symbol=symbol,
        module=one.module,
        source=source,
        inline=one.inline,
        role=role,
        plumbing=why_plumbing(function, source, one.module),
    )


def _fault(report: CrashReport, backtrace: Backtrace | Missing) -> Fault | Missing:
    if isinstance(backtrace, Missing):
        return Missing(backtrace.why, backtrace.detail)
    frame = backtrace.fault
    if frame is None or backtrace.exception is None:
        return Missing(Why.NOT_APPLICABLE, "no exception interrupted kernel code")
    decoded, access = report.decoded, report.access
    address = access.address if access and backtrace.exception == "page_fault" else None
    kind = (access.kind if access else None) or (decoded.access if decoded else None)
    return Fault(
        exception=backtrace.exception,
        address=None if address is None else Address(address),
        access=kind if address is not None else None,
        pc=frame.pc,
        function=frame.function,
        module=frame.module,
        instruction=decoded.text if decoded else None,
        code=decoded.bytes if decoded else None,
        operand=_operand(report),
        unmapped=None,
        frame=FramePointer(frame.index, frame.pc, frame.function),
    )


def _operand(report: CrashReport) -> Operand | None:
    decoded = report.decoded
    if decoded is None or decoded.access is None:
        return None
    values = {name.lower(): Address(value) for name, value in report.registers}
    return Operand(
        base=decoded.base,
        base_value=values.get(decoded.base or ""),
        index=decoded.index,
        displacement=decoded.displacement,
        address=None if decoded.address is None else Address(decoded.address),
        index_value=values.get(decoded.index or ""),
        scale=decoded.scale,
    )


def _bad_address(report: CrashReport, backtrace: Backtrace | Missing) -> BadAddress | Missing:
    fault = _fault(report, backtrace)
    if isinstance(fault, Missing):
        return fault
    address = fault.address
    if address is None and fault.operand is not None:
        address = fault.operand.address
    if address is None:
        return Missing(Why.NOT_APPLICABLE, "the fault was not an access to memory")
    known = nonsense(int(address))
    if known is None:
        return Missing(Why.NOT_TOLD, f"{NOT_IN_TEXT} what is mapped at {address}", address)
    return BadAddress(address, *known)


def _task(report: CrashReport) -> CrashedTask | Missing:
    task = report.task
    if task is None:
        return Missing(Why.NOT_TOLD, "the report names no task")
    comm = printable(task.name)
    return CrashedTask(
        pid=task.pid,
        comm=comm,
        cpu=task.cpu if task.cpu is not None else -1,
        ancestry=(TaskPointer(task.pid, comm, UNKNOWN_ADDRESS),),
        files=(),
        files_missing=Missing(Why.NOT_TOLD, f"{NOT_IN_TEXT} which files were open"),
    )

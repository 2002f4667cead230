"""What the crash looked like: the decisive crash report in the log, else the fault itself."""

from __future__ import annotations

from collections.abc import Sequence

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.crash.fault import (
    DIVIDE_ERROR,
    GENERAL_PROTECTION,
    INVALID_OPCODE,
    PAGE_FAULT,
    STACK_SEGMENT,
    Fault,
)
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.standstill import Standstill
from oopsight.evidence.pointers import LogPointer
from oopsight.kinds import Kind
from oopsight.oops import CrashReport

# x86's exceptions, by their entry point: arch/x86/include/asm/idtentry.h
_EXCEPTIONS = {
    PAGE_FAULT: Kind.PAGE_FAULT,
    GENERAL_PROTECTION: Kind.GENERAL_PROTECTION,
    DIVIDE_ERROR: Kind.DIVIDE_ERROR,
    "double_fault": Kind.DOUBLE_FAULT,
    INVALID_OPCODE: Kind.BUG,
    "machine_check": Kind.HARDWARE_ERROR,
    STACK_SEGMENT: Kind.TRAP_OTHER,
    "int3": Kind.TRAP_OTHER,
    "alignment_check": Kind.TRAP_OTHER,
    "control_protection": Kind.TRAP_OTHER,
}
# Who calls panic(), or reports before it, for what; the innermost one on the panic path decides.
_CALLERS = {
    "sysrq_handle_crash": Kind.PANIC_OTHER,
    "watchdog_timer_fn": Kind.SOFT_LOCKUP,
    "watchdog_overflow_callback": Kind.HARD_LOCKUP,
    "watchdog_hardlockup_check": Kind.HARD_LOCKUP,
    "check_hung_uninterruptible_tasks": Kind.HUNG_TASK,
    "check_hung_task": Kind.HUNG_TASK,
    "panic_on_rcu_stall": Kind.RCU_STALL,
    "rcu_sched_clock_irq": Kind.RCU_STALL,
    "out_of_memory": Kind.OOM,
    "__stack_chk_fail": Kind.STACK_CORRUPTION,
    "handle_stack_overflow": Kind.STACK_OVERFLOW,
    "__schedule_bug": Kind.SLEEPING_IN_ATOMIC,
    "check_panic_on_warn": Kind.WARNING,
    "__warn": Kind.WARNING,
    "do_machine_check": Kind.HARDWARE_ERROR,
    "mce_panic": Kind.HARDWARE_ERROR,
}
_FIRST_PAGE = 4096


@dataclass(frozen=True)
class Symptom:
    """The first crash, as the kernel noticed it."""

    kind: Kind
    title: str
    origin: str
    """``log``, ``fault``, ``backtrace`` or ``tasks``: where it was read."""
    headline: LogPointer | None
    """The line of the log that opens the report."""
    report: CrashReport | None
    """The whole report, where the log holds it."""
    cpu: int | None = None
    """The CPU that does not come on, where none has panicked for it."""


def _of_fault(fault: Fault) -> Symptom:
    kind = _EXCEPTIONS.get(fault.exception or "", Kind.OTHER)
    if kind is Kind.PAGE_FAULT and fault.address is not None and fault.address < _FIRST_PAGE:
        kind = Kind.NULL_DEREF
    name = (fault.exception or "exception").replace("_", " ")
    at = f" for address {fault.address}" if fault.address is not None else ""
    return Symptom(kind, f"{name}{at} in {fault.function}", "fault", None, None)


def _of_standstill(still: Standstill) -> Symptom | None:
    """A CPU that does not come on; else the tasks that do not, which may wait for it."""
    if still.on_cpu is not None:
        who = f"{still.on_cpu.comm} (pid {still.on_cpu.pid})"
        title = f"the kernel has not panicked, but CPU {still.cpu} does not get away from {who}"
        return Symptom(Kind.SOFT_LOCKUP, title, "tasks", None, None, still.cpu)
    if not still.tasks:
        return None
    first, others = still.tasks[0], len(still.tasks) - 1
    also = f", and {others} others" if others else ""
    title = (
        f"the kernel has not panicked, but {first.comm} (pid {first.pid}) has been blocked for "
        f"{still.seconds:.0f} s{also}"
    )
    return Symptom(Kind.HUNG_TASK, title, "tasks", None, None)


# What a busy machine or a slow disk makes the kernel report, and gets over.
_PASSING = (Kind.SOFT_LOCKUP, Kind.RCU_STALL, Kind.HUNG_TASK, Kind.WORKQUEUE_LOCKUP)
# What the kernel only complains of, and goes on.
_HARMLESS = (Kind.WARNING, Kind.UBSAN, Kind.SLEEPING_IN_ATOMIC)
_LONG_BEFORE = 60.0
"""Seconds."""


def decisive(crashes: Sequence[CrashReport]) -> CrashReport:
    """The report that brought the machine down: the first, for what follows comes of it.

    A stall that the machine got over is passed over: the last report is of something else, long
    after. So is a complaint that the machine did not panic for: what it then died of tells more.

    :param crashes: of one machine's log, from boot to its end; one at least
    """
    first, last = crashes[0], crashes[-1]
    serious = next((report for report in crashes if report.kind not in _HARMLESS), first)
    if first.kind in _HARMLESS and serious.kind in _PASSING and last.kind in _PASSING:
        return serious
    # Nor does the kernel stop for work that comes back with a lock, but for who then waits for it.
    if first.kind is Kind.LOCK_MISUSE and last.kind in _PASSING:
        return next(report for report in crashes if report.kind in _PASSING)
    # Who sleeps where he must not may well have brought about what follows.
    if first.kind in (Kind.WARNING, Kind.UBSAN) and serious.kind not in _PASSING:
        return serious
    passed = first.kind in _PASSING and last.kind not in _PASSING
    return last if passed and _seconds(last) - _seconds(first) > _LONG_BEFORE else first


def _seconds(report: CrashReport) -> float:
    """When it began, in seconds since boot."""
    return report.text[0][0] or 0.0 if report.text else 0.0


def collect(
    log: Log | Missing,
    fault: Fault | Missing,
    backtrace: Backtrace | Missing,
    still: Standstill | Missing,
) -> Symptom | Missing:
    """Take the log's word where there is one; a dump whose log is lost still has its stack.

    Where the kernel has not panicked, what stands still tells more than what it had complained of.
    """
    reports = log.crashes if isinstance(log, Log) else ()
    report = decisive(reports) if reports else None
    harmless = report is None or report.kind in _HARMLESS
    if isinstance(still, Standstill) and harmless:
        found = _of_standstill(still)
        if found is not None:
            return found
    if report is not None and isinstance(log, Log):
        at = report.first_line
        headline = log.lines[at] if at < len(log.lines) else None
        return Symptom(report.kind, report.title, "log", headline, report)
    if isinstance(fault, Fault):
        return _of_fault(fault)
    if isinstance(backtrace, Backtrace):
        for frame in backtrace.frames:
            kind = _CALLERS.get(frame.function)
            if kind is not None and frame.role is not Role.USER:
                return Symptom(kind, f"panic by {frame.function}", "backtrace", None, None)
        if any(frame.function in ("panic", "vpanic") for frame in backtrace.frames):
            return Symptom(Kind.PANIC_OTHER, "kernel panic", "backtrace", None, None)
    if isinstance(still, Standstill):
        return Symptom(Kind.NOT_A_CRASH, "no crash", "tasks", None, None)
    return Missing(Why.UNREADABLE, "neither the log nor the crashed task's stack tells")

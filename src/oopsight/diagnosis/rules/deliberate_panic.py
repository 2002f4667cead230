"""A panic that was asked for.

Finds
    The machine was brought down on purpose: sysrq ``c``, by key, serial break or
    ``/proc/sysrq-trigger``.

Why it happens
    An administrator, a test or a cluster's fencing agent wants a dump of a running machine.

How it is decided
    No exception interrupted kernel code: panic() was called, and its caller is the kernel's sysrq
    handler, which panics for this key and no other reason.

When it is wrong
    Before Linux 5.4 the handler dereferenced NULL instead of calling panic(); such a dump is left
    to other rules.

Example
    ``sysrq_handle_crash`` under ``write_sysrq_trigger``, written to by ``sh``.

Look next
    ``ps`` for who wrote it, ``log`` for what preceded it.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.file_accessed import FileAccessed
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.pointers import Pointer

_HANDLER = "sysrq_handle_crash"  # drivers/tty/sysrq.c


def deliberate_panic(
    backtrace: Backtrace,
    task: CrashedTask | Missing,
    log: Log | Missing,
    accessed: FileAccessed | Missing,
) -> Finding | Clear:
    """Decide whether the panic was asked for."""
    if backtrace.interrupted:
        return Clear("an exception interrupted kernel code; nobody called panic() on purpose")
    handler = next((f for f in backtrace.crash_path if f.function == _HANDLER), None)
    if handler is None or handler.module is not None:
        return Clear("the panic was not called by the sysrq handler")
    because: list[Pointer] = [handler.pointer]
    line = log.find("sysrq: Trigger a crash") if isinstance(log, Log) else None
    if line:
        because.append(line)
    who = "somebody whose task is not in the dump"
    because_of: list[Pointer] = [handler.pointer]
    if isinstance(task, CrashedTask):
        who, because_of = f"{task.comm} (pid {task.pid})", [task.pointer]
    through = ""
    if isinstance(accessed, FileAccessed):
        because_of.append(accessed.file)
        through = f" by writing to {accessed.file.path}"
    return Finding(
        title="deliberate panic by sysrq",
        summary=f"{who} crashed this machine on purpose{through}; nothing failed.",
        certainty=Certainty.SHOWN,
        depth=Depth.ROOT_CAUSE,
        chain=(
            Step("panic() was called by the kernel's own sysrq crash handler", tuple(because)),
            Step(f"{who} asked for it{through}", tuple(because_of)),
        ),
        advice=("Nothing is broken. Ask whoever ran the command, or the agent, why.",),
    )

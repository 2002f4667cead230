"""The first process has ended.

Finds
    Process 1 exited or was killed, without which the kernel cannot go on.

Why it happens
    Init crashed, was replaced by a program that ends, or lacks a library or its root file system.

How it is decided
    The kernel panicked with "Attempted to kill init!", called by the task's own exit, and that task
    is process 1. Its exit code tells a signal from an exit status.

When it is wrong
    In a container's PID namespace the end of its first process does not panic; only the machine's
    own init is meant. Why it ended is in user space and mostly not in the dump.

Example
    exit code 0xb: signal 11, a segmentation fault.

Look next
    ``log`` for lines of the init system and "segfault at".
"""

from __future__ import annotations

import re
import signal

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided
from oopsight.evidence import Missing
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.task import CrashedTask

_KILLED = re.compile(r"Attempted to kill init! exitcode=(0x[0-9a-f]+)")


def init_killed(log: Log | Missing, task: CrashedTask | Missing) -> Finding | Clear | Undecided:
    """Decide whether process 1 has ended."""
    if isinstance(log, Missing):
        return Undecided(log.detail)
    line = log.find("Attempted to kill init!")
    if line is None:
        return Clear("init was not killed")
    match = _KILLED.search(line.text)
    how = _meaning(int(match[1], 16)) if match else "an exit code that is not in the log"
    steps = [Step(f"the kernel panicked as process 1 ended: {how}", (line,))]
    name = "init"
    if isinstance(task, CrashedTask):
        name = task.comm
        steps.append(Step(f"process 1 was {task.comm}", (task.pointer,)))
    fault = log.find("segfault at", "trap invalid opcode", "general protection fault ip")
    if fault is not None and f"{name}[1]" in fault.text:
        steps.append(Step(f"it had crashed in user space: {fault.text}", (fault,)))
    return Finding(
        title=f"init ({name}) has ended: {how}",
        summary=f"Process 1, {name}, ended with {how}; the kernel cannot go on without it.",
        certainty=Certainty.SHOWN,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=(Culprit(None, None, None, name, f"it is process 1, and ended with {how}"),),
        advice=(f"Look at {name} in user space: its log, its libraries, its file system.",),
        refines=("panic_called",),
    )


def _meaning(code: int) -> str:
    """An exit code as ``wait()`` gives it.

    >>> _meaning(0x0b), _meaning(0x100), _meaning(0)
    ('signal 11 (SIGSEGV)', 'exit status 1', 'exit status 0')
    """
    number = code & 0x7F
    if not number:
        return f"exit status {code >> 8 & 0xFF}"
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"

"""A machine that was stopped from outside and had not panicked: what in it stood still.

So are guests dumped that do not answer any more (``virsh dump``). The kernel itself tells of a task
that hangs after two minutes, or never, as it is set.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Missing, Why
from oopsight.evidence.pointers import TaskPointer
from oopsight.session import Session

LONG = 10.0
"""Seconds for which nobody waits on a machine that is well."""
NO_PANIC = "the kernel has not panicked"
"""Why what belongs to a panic is not there."""
_MOST_CPUS = 8192
_NO_CPU = -1  # PANIC_CPU_INVALID, include/linux/panic.h


@dataclass(frozen=True)
class Standstill:
    """What had not come on for :data:`LONG` and more."""

    tasks: tuple[TaskPointer, ...]
    """Tasks in uninterruptible sleep, longest first."""
    seconds: float
    """Since the first of them ran."""
    cpu: int | None = None
    """A CPU that had run one task alone, though others were to run on it."""
    on_cpu: TaskPointer | None = None
    """That task."""


def collect(session: Session) -> Standstill | Missing:
    """Look at all tasks, where no CPU has panicked."""
    from oopsight.evidence.hangs.stacks import task_pointer
    from oopsight.kernel.blocked_tasks import blocked_tasks

    prog: Any = session.prog
    panicked = has_panicked(prog)
    if panicked is None:
        return Missing(Why.UNREADABLE, "whether the kernel has panicked cannot be read")
    if panicked:
        return Missing(Why.NOT_APPLICABLE, "the kernel has panicked")
    found = [(seconds, task) for seconds, task in blocked_tasks(prog).tasks if seconds >= LONG]
    tasks = tuple(task_pointer(task) for _, task in found)
    cpu, on_cpu = _stuck(prog) or (None, None)
    return Standstill(
        tasks,
        max((seconds for seconds, _ in found), default=0.0),
        cpu,
        task_pointer(on_cpu) if on_cpu is not None else None,
    )


def has_panicked(prog: Any) -> bool | None:
    """Whether a CPU has panicked; ``None`` where that cannot be read."""
    from drgn import FaultError

    try:
        return bool(prog["panic_cpu"].counter.value_() != _NO_CPU)
    except (LookupError, FaultError, SymbolError):
        return None


def _stuck(prog: Any) -> tuple[int, Any] | None:
    """The first CPU that does not come to run what else it has to, and the task it runs."""
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_online_cpu
    from drgn.helpers.linux.percpu import per_cpu
    from drgn.helpers.linux.sched import cpu_curr

    from oopsight.kernel.blocked_tasks import seconds_since_run

    for number in islice(for_each_online_cpu(prog), _MOST_CPUS):
        try:
            task = cpu_curr(prog, number)
            others = per_cpu(prog["runqueues"], number).nr_running.value_() > 1
            if others and task.pid.value_() and (seconds_since_run(task) or 0.0) >= LONG:
                return number, task
        except (FaultError, LookupError, AttributeError):
            continue
    return None

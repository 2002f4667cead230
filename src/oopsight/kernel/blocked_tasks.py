"""Tasks that are blocked: in uninterruptible sleep, or behind a spinlock that sleeps."""

from __future__ import annotations

from typing import Any, NamedTuple

MOST_TASKS = 1_000_000
NOLOAD = 0x400
"""TASK_NOLOAD: sleeps without end on purpose, and is not counted as blocked."""
_UNINTERRUPTIBLE = 0x2
_RTLOCK_WAIT = 0x1000
"""TASK_RTLOCK_WAIT: with PREEMPT_RT, of a task that sleeps for a spinlock."""


class BlockedTasks(NamedTuple):
    """What a walk through all tasks found."""

    tasks: list[tuple[float, Any]]
    """Seconds since each ran, and its ``struct task_struct *``; longest first."""
    alive: set[int]
    """Addresses of all tasks that have not ended."""
    whole: bool
    """Whether all tasks could be read."""


def blocked_tasks(prog: Any) -> BlockedTasks:
    """Walk through all tasks, as far as they can be read."""
    from drgn import FaultError
    from drgn.helpers.linux.pid import for_each_task

    found: list[tuple[float, Any]] = []
    alive: set[int] = set()
    whole = True
    try:
        for task in for_each_task(prog):
            if not _has_ended(task):
                alive.add(task.value_())
            if len(alive) >= MOST_TASKS:
                break
            state = task_state(task)
            if state & (_UNINTERRUPTIBLE | _RTLOCK_WAIT) and not state & NOLOAD:
                found.append((seconds_since_run(task) or 0.0, task))
    except FaultError:
        whole = False  # what was found before stands
    return BlockedTasks(sorted(found, key=lambda item: -item[0]), alive, whole)


def seconds_since_run(task: Any) -> float | None:
    """How long ago a task ran last, or began to; ``None`` where that is not known.

    :param task: ``struct task_struct *``
    """
    from drgn import FaultError
    from drgn.helpers.linux.sched import task_since_last_arrival_ns

    try:
        return round(float(task_since_last_arrival_ns(task)) / 1e9, 3)
    except (FaultError, LookupError, AttributeError):
        return None


def task_state(task: Any) -> int:
    """The state bits of a task.

    :param task: ``struct task_struct *``
    """
    try:
        # Since Linux 5.14 (commit 2f064a59a11f).
        return int(task.member_("__state"))
    except LookupError:
        return int(task.state)


def _has_ended(task: Any) -> bool:
    """Whether a task only waits to be reaped: its parent is to read how it ended.

    :param task: ``struct task_struct *``
    """
    try:
        return bool(task.exit_state.value_())
    except AttributeError:
        return False

"""What stands still in a machine that was stopped from outside."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_waits import task as pointer

from oopsight.evidence import Missing
from oopsight.evidence.crash import standstill
from oopsight.evidence.crash.standstill import Standstill
from oopsight.kernel.blocked_tasks import BlockedTasks


def number(value: int) -> Any:
    return SimpleNamespace(value_=lambda: value)


def task(pid: int) -> Any:
    return SimpleNamespace(pid=number(pid))


def found(
    monkeypatch: pytest.MonkeyPatch,
    *,
    panicked: int = -1,
    blocked: tuple[tuple[float, int], ...] = (),
    running: tuple[int, float, int] = (0, 30.0, 3),
) -> Standstill | Missing:
    """Of one CPU.

    :param running: the process on it, for how long, and how many it has to run
    """
    current, since, many = running
    known: dict[str, Any] = {
        "panic_cpu": SimpleNamespace(counter=number(panicked)),
        "runqueues": None,
    }
    tasks = BlockedTasks([(seconds, task(pid)) for seconds, pid in blocked], set(), whole=True)
    monkeypatch.setattr("oopsight.kernel.blocked_tasks.blocked_tasks", lambda _: tasks)
    monkeypatch.setattr("oopsight.kernel.blocked_tasks.seconds_since_run", lambda _: since)
    monkeypatch.setattr(
        "oopsight.evidence.hangs.stacks.task_pointer", lambda one: pointer(one.pid.value_())
    )
    monkeypatch.setattr("drgn.helpers.linux.cpumask.for_each_online_cpu", lambda _: [0])
    monkeypatch.setattr("drgn.helpers.linux.sched.cpu_curr", lambda *_: task(current))
    queue = SimpleNamespace(nr_running=number(many))
    monkeypatch.setattr("drgn.helpers.linux.percpu.per_cpu", lambda *_: queue)
    session: Any = SimpleNamespace(prog=known)
    return standstill.collect(session)


def test_tasks_that_have_been_blocked_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    still = found(monkeypatch, blocked=((31.0, 4), (12.0, 5), (3.0, 6)))
    assert isinstance(still, Standstill)
    assert ([one.pid for one in still.tasks], still.seconds) == ([4, 5], 31.0)
    assert still.cpu is None


@pytest.mark.parametrize(
    ("running", "cpu"),
    [
        ((9, 30.0, 3), 0),
        ((9, 30.0, 1), None),  # nobody else wants it
        ((9, 3.0, 3), None),
        ((0, 30.0, 3), None),  # idle
    ],
)
def test_a_cpu_that_does_not_come_on(
    monkeypatch: pytest.MonkeyPatch, running: tuple[int, float, int], cpu: int | None
) -> None:
    still = found(monkeypatch, running=running)
    assert isinstance(still, Standstill)
    assert still.cpu == cpu
    assert (still.on_cpu.pid if still.on_cpu else None) == (None if cpu is None else running[0])


def test_a_machine_that_has_panicked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(found(monkeypatch, panicked=1), Missing)

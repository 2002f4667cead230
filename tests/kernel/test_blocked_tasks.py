"""Which tasks are blocked, and for how long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from oopsight.kernel import blocked_tasks as module
from oopsight.kernel.blocked_tasks import blocked_tasks, task_state

RUNNING, UNINTERRUPTIBLE, RTLOCK, NOLOAD = 0, 2, 0x1000, 0x400


def number(value: int) -> Any:
    return SimpleNamespace(value_=lambda: value)


def task(at: int, state: int, *, ended: int = 0) -> Any:
    def member(name: str) -> int:
        assert name == "__state"
        return state

    return SimpleNamespace(member_=member, exit_state=number(ended), value_=lambda: at)


def walked(monkeypatch: pytest.MonkeyPatch, *tasks: Any, fails: bool = False) -> Any:
    def every(_: Any) -> Any:
        yield from tasks
        if fails:
            raise drgn.FaultError("not here", 0)

    monkeypatch.setattr("drgn.helpers.linux.pid.for_each_task", every)
    monkeypatch.setattr(module, "seconds_since_run", lambda one: float(one.value_()))
    found = blocked_tasks(None)
    return [(seconds, one.value_()) for seconds, one in found.tasks], found.alive, found.whole


def test_those_in_uninterruptible_sleep_the_longest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = (
        task(1, RUNNING),
        task(2, UNINTERRUPTIBLE),
        task(3, UNINTERRUPTIBLE | NOLOAD),
        task(4, RTLOCK),
        task(5, RUNNING, ended=0x20),  # EXIT_ZOMBIE
    )
    blocked, alive, whole = walked(monkeypatch, *tasks)
    assert blocked == [(4.0, 4), (2.0, 2)]
    assert (alive, whole) == ({1, 2, 3, 4}, True)


def test_what_was_found_before_the_list_broke_off_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked, _, whole = walked(monkeypatch, task(2, UNINTERRUPTIBLE), fails=True)
    assert (blocked, whole) == ([(2.0, 2)], False)


def test_the_state_has_had_two_names() -> None:
    def none(_: str) -> Any:
        raise LookupError

    assert task_state(SimpleNamespace(member_=none, state=2)) == 2

"""Tasks by the addresses on their stacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from drgn import FaultError
from handmade_session import Machine

from oopsight.evidence.memory import task_stacks
from oopsight.evidence.memory.task_stacks import task_with_stack_at
from oopsight.evidence.use_after_free import stack_entry

STACK = 0xFFFFC90000010000


def task(begin: int, address: int = 0xFFFF888001000000) -> Any:
    return SimpleNamespace(
        stack=SimpleNamespace(value_=lambda: begin), value_=lambda: address, name=begin
    )


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    known = [task(STACK), task(STACK + 0x8000, 0xFFFF888001002000)]
    monkeypatch.setattr(task_stacks, "stack_size", lambda _: 0x4000)
    monkeypatch.setattr("drgn.helpers.linux.pid.for_each_task", lambda _: iter(known))
    return known


def test_a_stack_is_one_tasks(tasks: list[Any]) -> None:
    session = Machine().session
    assert task_with_stack_at(session, STACK) is tasks[0]
    assert task_with_stack_at(session, STACK + 0xBFFF) is tasks[1]
    assert task_with_stack_at(session, STACK + 0x4000) is None


def test_tasks_behind_one_that_cannot_be_read_are_not_found(
    tasks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(_: object) -> Any:
        yield tasks[0]
        raise FaultError("torn", 0)

    monkeypatch.setattr("drgn.helpers.linux.pid.for_each_task", torn)
    assert task_with_stack_at(Machine().session, STACK) is tasks[0]
    assert task_with_stack_at(Machine().session, STACK + 0x8000) is None


def test_an_entry_is_in_use_where_another_task_is_in_its_function(
    tasks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    frames = [SimpleNamespace(name="schedule"), SimpleNamespace(name="drv_wait.isra.0")]
    monkeypatch.setattr(machine, "stack_trace", lambda _: frames, raising=False)
    monkeypatch.setattr("drgn.helpers.linux.panic.panic_task", lambda _: tasks[1])
    assert stack_entry.in_use(machine.session, STACK + 8, ("drv_wait",))
    assert not stack_entry.in_use(machine.session, STACK + 8, ("drv_poll",))
    assert not stack_entry.in_use(machine.session, STACK + 0x4008, ("drv_wait",))
    # The crashed task's own is of a call before.
    assert not stack_entry.in_use(machine.session, STACK + 0x8008, ("drv_wait",))

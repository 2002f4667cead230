"""A pointer to the task of a thread that has ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.use_after_free import ended_thread as this
from oopsight.evidence.use_after_free.ended_thread import ended_thread

TASK = replace(made.slab_object("allocated"), cache="task_struct")
AT = int(TASK.address)
BASE = 0xFFFFFFFFC0300000
MODULES = made.modules(made.module("pump", BASE, BASE + 0x1000, "O"))


def flow(stopped_by: str = "kthread_stop", module: str | None = "pump") -> Any:
    """NULL was read from a task that a function was given."""
    read = made.way(
        made.flow_step("loaded", stopped_by, 0),
        held_in=made.owner(AT + 64, "slab", slab=TASK, offset=64),
        function=stopped_by,
    )
    handed = made.way(made.flow_step("passed", "pump_off", AT, module))
    return made.data_flow(read, handed, bad=made.owner(0, "null"))


@pytest.mark.parametrize(
    ("state", "is_now", "found"),
    [
        ("allocated", ("the process cat (138)", 0), True),
        ("allocated", ("the thread kworker/0:1", 0xFFFFFFFF81000000), True),
        ("allocated", ("the thread pump", BASE + 0x10), False),
        ("allocated", None, False),
        ("free", None, True),
    ],
)
def test_what_a_module_takes_for_its_thread(
    monkeypatch: pytest.MonkeyPatch, state: str, is_now: tuple[str, int] | None, found: bool
) -> None:
    task = replace(TASK, state=state)
    monkeypatch.setattr(this, "owner_of", lambda *_: made.owner(AT, "slab", slab=task))
    monkeypatch.setattr(this, "_another", lambda *_: is_now)
    met = ended_thread(Machine().session, MODULES, flow())
    assert (met is not None) is found
    if met is not None:
        assert met[1] == task
        assert "pump had kthread_stop take it for a thread of its own" in met[0]


def test_any_task_may_be_given_to_other_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this, "owner_of", lambda *_: made.owner(AT, "slab", slab=TASK))
    monkeypatch.setattr(this, "_another", lambda *_: ("the process cat (138)", 0))
    assert ended_thread(Machine().session, MODULES, flow("wake_up_process")) is None
    assert ended_thread(Machine().session, MODULES, flow(module=None)) is None
    assert ended_thread(Machine().session, MODULES, None) is None

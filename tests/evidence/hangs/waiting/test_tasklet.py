"""A tasklet that a task waits for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from handmade_memory import BASE, Kernel

from oopsight.evidence import Address
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.hangs.waiting import tasklet
from oopsight.evidence.hangs.waiting.scan import Scan
from oopsight.evidence.pointers import TaskPointer

STACK, TASKLET = BASE + 0x4000, BASE + 0x8000
FUNCTION = 0xFFFFFFFFC0002160
SCHEDULED = 1


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is on the CPUs' lists."""
    found: list[int] = []

    def scheduled(_: object) -> list[tuple[str, SimpleNamespace]]:
        return [("tasklet_vec", SimpleNamespace(value_=lambda at=at: at)) for at in found]

    monkeypatch.setattr(tasklet, "scheduled", scheduled)
    return found


def scan(word: int, count: int, state: int = SCHEDULED) -> Scan:
    made = Kernel()
    made.struct("atomic_t", counter=made.word)
    made.struct(
        "tasklet_struct",
        next=made.word,
        state=made.word,
        count=made.type("atomic_t"),
        func=made.word,
    )
    made.put(TASKLET, 0, state, count, FUNCTION)
    made.put(TASKLET + 0x100, 0, state, count, FUNCTION)
    made.put(STACK, word, TASKLET + 0x100)
    waiting = TaskStack(TaskPointer(1, "halt", Address(BASE)), 0, "D", ())
    names = SimpleNamespace(
        code=lambda _: ("count_pulses", FUNCTION, 0), data=lambda _: "axis+0x48"
    )
    reader = cast("StackReader", SimpleNamespace(names=names))
    return Scan(made.prog, reader, waiting, (STACK, STACK + 0x40), {})


@pytest.mark.parametrize("word", [TASKLET, TASKLET + 8])
def test_one_that_is_disabled(word: int) -> None:
    found = tasklet.find(scan(word, 2))
    assert found is not None
    assert (found.kind, found.address, found.name) == ("tasklet", TASKLET, "axis+0x48")
    assert found.detail == tasklet.DISABLED


def test_others() -> None:
    running = tasklet.find(scan(TASKLET, 0))
    assert running is not None
    assert running.detail is None
    assert tasklet.find(scan(TASKLET, 0, state=0)) is None
    assert tasklet.find(scan(TASKLET, 1 << 40)) is None


def test_one_that_is_on_a_list_comes_first(listed: list[int]) -> None:
    first = tasklet.find(scan(TASKLET, 1))
    assert first is not None
    assert first.address == TASKLET
    listed.append(TASKLET + 0x100)
    first = tasklet.find(scan(TASKLET, 1))
    assert first is not None
    assert first.address == TASKLET + 0x100

"""A tasklet that is to end, and that is disabled."""

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

TASKLET = BASE + 0x2000
STACK = BASE + 0x4000


def scan(count: int) -> Scan:
    made = Kernel()
    made.struct("tasklet_struct", next=made.word, state=made.word, count=made.word)
    made.put(TASKLET + 8, 1)
    made.put(TASKLET + 16, count)
    made.put(STACK + 8, TASKLET)
    waiting = TaskStack(TaskPointer(1, "rmmod", Address(BASE)), 0, "D", ())
    reader = cast("StackReader", SimpleNamespace(names=SimpleNamespace(data=lambda _: "sorter")))
    return Scan(made.prog, reader, waiting, (STACK, STACK + 0x40), {})


@pytest.mark.parametrize(("count", "detail"), [(1, tasklet.DISABLED), (0, None)])
def test_one_that_is_scheduled(
    count: int, detail: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_list = SimpleNamespace(value_=lambda: TASKLET)
    monkeypatch.setattr(tasklet, "scheduled", lambda _: iter([("tasklet_vec", on_list)]))
    found = tasklet.find(scan(count))
    assert found is not None
    assert (found.kind, found.address, found.name) == ("tasklet", TASKLET, "sorter")
    assert found.detail == detail
    assert [one.address for one in found.because] == [TASKLET + 16]


def test_of_one_that_is_not_scheduled_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasklet, "scheduled", lambda _: iter([]))
    assert tasklet.find(scan(1)) is None

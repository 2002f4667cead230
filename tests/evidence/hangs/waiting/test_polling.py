"""A device that is disabled for the second time, or whose polling has never come to an end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from handmade_memory import BASE, Kernel

from oopsight.evidence import Address
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.hangs.waiting import polling
from oopsight.evidence.hangs.waiting.scan import Scan
from oopsight.evidence.pointers import TaskPointer

NAPI = BASE + 0x2000
STACK = BASE + 0x4000
SCHEDULED, DISABLING, OWNED = 1, 4, 8
NOBODY = (1 << 32) - 1


def scan(state: int, owner: int = NOBODY) -> Scan:
    made = Kernel()
    number = made.prog.int_type("int", 4, True)
    made.struct("napi_struct", poll_list=made.type("list_head"), state=made.word, poll_owner=number)
    made.put(NAPI, NAPI)
    made.put(NAPI + 8, NAPI)
    made.put(NAPI + 16, state)
    made.put(NAPI + 24, owner)
    made.put(STACK + 8, NAPI)
    waiting = TaskStack(TaskPointer(1, "ip", Address(BASE)), 0, "D", ())
    reader = cast("StackReader", SimpleNamespace(names=SimpleNamespace(data=lambda _: None)))
    return Scan(made.prog, reader, waiting, (STACK, STACK + 0x40), {})


@pytest.mark.parametrize(
    ("state", "owner", "detail"),
    [
        (SCHEDULED | DISABLING | OWNED, NOBODY, polling.DISABLED),
        (SCHEDULED | DISABLING, NOBODY, polling.UNFINISHED),
        (SCHEDULED | DISABLING, 1, None),  # a CPU polls it
    ],
)
def test_what_it_waits_for(
    state: int, owner: int, detail: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "_napis", lambda _: {NAPI: "cm0"})
    found = polling.find(scan(state, owner))
    assert found is not None
    assert (found.kind, found.address, found.name) == ("polling", NAPI, "of cm0")
    assert found.detail == detail
    assert found.because


def test_one_that_is_not_scheduled_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "_napis", lambda _: {NAPI: "cm0"})
    assert polling.find(scan(DISABLING)) is None

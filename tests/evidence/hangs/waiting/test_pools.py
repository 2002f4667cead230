"""Who keeps a CPU's pool of workers from beginning what waits there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import pools
from oopsight.evidence.pointers import TaskPointer


def number(value: int) -> Any:
    return SimpleNamespace(value_=lambda: value)


def pool(cpu: int = 0, began: int = 1000) -> Any:
    prog = {"jiffies_64": number(2000)}
    return SimpleNamespace(
        cpu=number(cpu), watchdog_ts=number(began), prog_=prog, value_=lambda: 1 << 63
    )


def worker(state: int = 0, flags: int = 0, *, queued: int = 1) -> Any:
    task = SimpleNamespace(state=state, on_rq=number(queued))
    return SimpleNamespace(pool=number(1 << 63), flags=number(flags), task=task)


@pytest.mark.parametrize(
    ("one", "of", "count"),
    [
        (worker(), pool(), 1),
        # It sleeps, or runs in nobody's way; the pool is of no CPU, or has just begun an item.
        (worker(state=2), pool(), 0),
        (worker(queued=0), pool(), 0),
        (worker(flags=0x40), pool(), 0),
        (worker(), pool(cpu=-1), 0),
        (worker(), pool(began=1900), 0),
    ],
)
def test_who_runs_for_long(one: Any, of: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "task_state", lambda task: task.state)
    pointer = TaskPointer(7, "kworker/0:1", Address(1 << 63))
    monkeypatch.setattr(pools, "task_pointer", lambda _: pointer)
    found = pools.held_up([one], of)
    assert [holder.known_by for holder in found] == ["pool"] * count

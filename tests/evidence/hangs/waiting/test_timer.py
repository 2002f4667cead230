"""Whose timer a CPU waits for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_waits import call, cpu, memory, stack

from oopsight.evidence.hangs.waiting import timer

TICK = (call(1, "__timer_delete_sync", None), call(2, "drv_shut"), call(3, "call_timer_fn", None))
OUTSIDE = (call(1, "call_timer_fn", None), call(2, "del_timer_sync", None), call(3, "drv_exit"))
READER: Any = SimpleNamespace(names=SimpleNamespace(data=lambda _: "drv_line"))


@pytest.mark.parametrize(
    ("calls", "running", "holder"),
    [
        (TICK, [0], 1),  # its own
        (TICK, [1], 2),
        (TICK, [0, 1], None),  # which of them it deletes is not known
        (OUTSIDE, [0], None),  # the timer's function came upon who deletes, and goes on
        (OUTSIDE, [0, 1], 2),
        (OUTSIDE[2:], [1], None),
    ],
)
def test_a_timers_function_may_wait_for_itself(
    monkeypatch: pytest.MonkeyPatch, calls: Any, running: list[int], holder: int | None
) -> None:
    cpus = (cpu(0, stack(1, *calls)), cpu(1, stack(2, call(1, "drv_tick"))))
    monkeypatch.setattr(timer, "_running", lambda *_: [(number, number) for number in running])
    monkeypatch.setattr(timer, "_function", lambda *_: 0)
    monkeypatch.setattr(timer, "memory_of", lambda *_: memory(0xFFFF888000001000))
    found = timer.of_cpu(None, READER, cpus[0], cpus, {}.get)
    assert (found.holders[0].task.pid if found is not None else None) == holder


def test_of_several_the_one_of_the_module_that_deletes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other CPU's is the kernel's own tick, in which it panicked."""
    cpus = (cpu(0, stack(1, *TICK)), cpu(1, stack(2)))
    monkeypatch.setattr(timer, "_running", lambda *_: [(0, 10), (1, 11)])
    monkeypatch.setattr(timer, "_function", lambda base, _: base)
    monkeypatch.setattr(timer, "memory_of", lambda *_: memory(0xFFFF888000001000))
    found = timer.of_cpu(None, READER, cpus[0], cpus, {10: "drv"}.get)
    assert found is not None
    assert found.holders[0].task.pid == 1
    assert timer.of_cpu(None, READER, cpus[0], cpus, {10: "drv", 11: "drv"}.get) is None

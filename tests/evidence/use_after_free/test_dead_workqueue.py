"""A workqueue that the kernel does not know any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import drgn.helpers.linux.list as lists
import pytest
from handmade_session import Machine

from oopsight.evidence.use_after_free import dead_workqueue
from oopsight.evidence.use_after_free.dead_workqueue import delayed_on, is_dead

KNOWN, GONE = 0xFFFF888003400000, 0xFFFF888003500000


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Any:
    walk = [SimpleNamespace(value_=lambda: KNOWN)]
    monkeypatch.setattr(lists, "list_for_each_entry", lambda *_: iter(walk))
    head = SimpleNamespace(address_of_=lambda: 0)
    return SimpleNamespace(prog={"workqueues": head})


def test_only_what_is_on_the_list_of_all_lives(session: Any) -> None:
    assert is_dead(session, "queue_work_on", GONE)
    assert is_dead(session, "__flush_workqueue", GONE)
    assert not is_dead(session, "queue_work_on", KNOWN)


def test_other_functions_take_no_workqueue(session: Any) -> None:
    assert not is_dead(session, "mutex_lock", GONE)


def test_without_the_list_nothing_is_told() -> None:
    assert not is_dead(Machine().session, "queue_work_on", GONE)


@pytest.mark.parametrize(
    ("path", "function", "queue", "found"),
    [
        (("__queue_work", "call_timer_fn", "__run_timers"), "delayed_work_timer_fn", GONE, GONE),
        (("__queue_work", "call_timer_fn", "__run_timers"), "delayed_work_timer_fn", KNOWN, None),
        (("__queue_work", "call_timer_fn", "__run_timers"), "drv_tick", GONE, None),
        (("drv_tick", "call_timer_fn", "__run_timers"), "delayed_work_timer_fn", GONE, None),
        (("__queue_work", "drv_ioctl"), "delayed_work_timer_fn", GONE, None),
    ],
)
def test_a_delayed_work_whose_workqueue_went_before_its_timer_expired(
    session: Any,
    monkeypatch: pytest.MonkeyPatch,
    path: tuple[str, ...],
    function: str,
    queue: int,
    found: int | None,
) -> None:
    class Program(dict[str, Any]):
        def symbol(self, _: int) -> Any:
            return SimpleNamespace(name=function)

    timer = SimpleNamespace(
        function=SimpleNamespace(value_=lambda: 0x1000), address_of_=lambda: None
    )
    work = SimpleNamespace(wq=SimpleNamespace(value_=lambda: queue))
    monkeypatch.setattr(dead_workqueue, "remembered", lambda *_: iter([0x2000]))
    monkeypatch.setattr(drgn, "Object", lambda *_, **__: timer)
    monkeypatch.setattr(drgn, "container_of", lambda *_: work)
    frames = [SimpleNamespace(function=name, inline=False) for name in path]
    session.prog = Program(session.prog)
    assert delayed_on(session, SimpleNamespace(crash_path=frames), 0) == found  # type: ignore[arg-type]

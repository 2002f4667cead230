"""Timers that were stopped, and by which nobody is woken any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest
from handmade_code import NAMES, START, assemble
from handmade_driver import DRIVER
from handmade_memory import BASE, Kernel

from oopsight.evidence.hangs import stopped_timers as tested
from oopsight.kernel.code_locks import Function

KNOWN = {**NAMES, START + 0x1400: "mod_timer", START + 0x1600: "queue_delayed_work_on"}
TIMER, WORKER = BASE + 0x100, BASE + 0x400
# It wakes, and starts the timer again; the other one only if it was handed anything.
AGAIN = ("call __wake_up", "call helper", "c3")
AT_TIMES = ("call __wake_up", "4885ff 7405", "call helper", "c3")


@pytest.mark.parametrize(
    ("code", "pprev", "found"),
    [
        (AGAIN, 0, ["timer of tick()"]),
        (AGAIN, BASE + 0x800, []),  # it is pending
        (AT_TIMES, 0, []),  # it may have ended by itself
        (("call helper", "c3"), 0, []),  # it wakes nobody
    ],
)
def test_one_that_goes_on_by_itself_was_stopped(
    monkeypatch: pytest.MonkeyPatch, code: tuple[str, ...], pprev: int, found: list[str]
) -> None:
    made = Kernel()
    made.struct("hlist_node", next=made.word, pprev=made.word)
    made.struct("timer_list", entry=made.type("hlist_node"), expires=made.word, function=made.word)
    made.put(TIMER, 0, pprev, 5, START)
    assert stopped(monkeypatch, made, code, TIMER + 24) == found


def stopped(
    monkeypatch: pytest.MonkeyPatch, made: Kernel, code: tuple[str, ...], named_at: int
) -> list[str]:
    handler = Function(assemble(*code), START, KNOWN.get)
    names = SimpleNamespace(function_at=KNOWN.get, code=lambda _: ("tick", START, 0))
    reader: Any = SimpleNamespace(function=lambda _: handler, names=names)
    monkeypatch.setattr(tested, "handlers_in", lambda *_: [(named_at, START)])
    session: Any = SimpleNamespace(prog=made.prog)
    return [one.title for one in tested.stopped_timers(session, reader, TIMER, DRIVER)]


# It wakes, and says that it is to be started again; the other one only if it was handed anything.
RESTARTS = ("call __wake_up", "b801000000 c3")
ENDS = ("call __wake_up", "31c0 4885ff 7405 b801000000 c3")


@pytest.mark.parametrize(
    ("code", "state", "found"),
    [
        (RESTARTS, 0, ["hrtimer of tick()"]),
        (RESTARTS, 1, []),  # it is pending
        (ENDS, 0, []),
    ],
)
def test_a_high_resolution_timer(
    monkeypatch: pytest.MonkeyPatch, code: tuple[str, ...], state: int, found: list[str]
) -> None:
    made = Kernel()
    made.struct("hrtimer", function=made.word, state=made.word)
    made.put(TIMER, START, state)
    assert stopped(monkeypatch, made, code, TIMER) == found


@pytest.mark.parametrize(
    ("data", "current", "found"),
    [
        (0xFFFFFFFE0, 0, ["work of tick()"]),
        (0xFFFFFFFE1, 0, []),  # it is pending, or its timer is
        (0xFFFFFFFE0, TIMER, []),  # it is carried out
    ],
)
def test_a_work_item(
    monkeypatch: pytest.MonkeyPatch, data: int, current: int, found: list[str]
) -> None:
    made = Kernel()
    made.struct("atomic_long_t", counter=made.word)
    made.struct("work_struct", data=made.type("atomic_long_t"), func=made.word)
    made.struct("worker", current_work=made.word)
    made.put(TIMER, data, START)
    made.put(WORKER, current)
    worker = drgn.Object(made.prog, "struct worker *", WORKER)
    monkeypatch.setattr(tested, "busy_workers", lambda _: [worker])
    again = ("call complete", "call up", "c3")
    assert stopped(monkeypatch, made, again, TIMER + 8) == found

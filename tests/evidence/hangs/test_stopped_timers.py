"""Timers that were stopped, and by which nobody is woken any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_code import NAMES, START, assemble
from handmade_driver import DRIVER
from handmade_memory import BASE, Kernel

from oopsight.evidence.hangs import stopped_timers as tested
from oopsight.kernel.code_locks import Function

KNOWN = {**NAMES, START + 0x1400: "mod_timer"}
TIMER = BASE + 0x100
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
    handler = Function(assemble(*code), START, KNOWN.get)
    names = SimpleNamespace(function_at=KNOWN.get, code=lambda _: ("tick", START, 0))
    reader: Any = SimpleNamespace(function=lambda _: handler, names=names)
    monkeypatch.setattr(tested, "handlers_in", lambda *_: [(TIMER + 24, START)])
    session: Any = SimpleNamespace(prog=made.prog)
    assert [title for title, _ in tested.stopped_timers(session, reader, TIMER, DRIVER)] == found

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import handler_object
from oopsight.evidence.use_after_free.handler_object import (
    freed_work,
    given_away,
    running_object,
)

ONE = made.slab_object("allocated")
TIMER = int(ONE.address) + 16


def flow(runner: str = "call_timer_fn", timer: int = TIMER) -> DataFlow:
    """A handler read NULL from the object that it had got as its timer."""
    read = made.way(
        made.flow_step("loaded", "beat", 0, "sess"),
        held_in=made.owner(int(ONE.address) + 64, "slab", slab=ONE, offset=64),
    )
    handed = made.way(
        made.flow_step("computed", "beat", int(ONE.address), "sess"),
        made.flow_step("passed", runner, timer),
    )
    return made.data_flow(read, handed, bad=made.owner(0, "null"))


@pytest.mark.parametrize(("names", "away"), [("", True), ("other", True), ("beat", False)])
def test_an_object_that_does_not_name_its_running_handler_is_anothers(
    monkeypatch: pytest.MonkeyPatch, names: str, away: bool
) -> None:
    monkeypatch.setattr(handler_object, "_named_there", lambda *_: names)
    found = given_away(Machine().session, flow())
    assert (found is not None) is away
    if found is not None:
        assert found[1] == ONE
        assert "call_timer_fn was running beat" in found[0]


def test_what_is_not_known_to_be_a_handlers_own_object_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = Machine().session
    monkeypatch.setattr(handler_object, "_named_there", lambda *_: "")
    assert given_away(session, flow("poll")) is None
    assert given_away(session, flow(timer=TIMER + 4096)) is None
    monkeypatch.setattr(handler_object, "_named_there", lambda *_: None)
    assert given_away(session, flow()) is None


def test_what_is_read_at_once_from_the_argument_was_read_by_the_handler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way of the pointer begins with the call: nothing was computed from it."""
    made_flow = flow()
    handed = made.way(made_flow.ways[1].steps[1])
    monkeypatch.setattr(handler_object, "_named_there", lambda *_: "beat")
    at_once = made.data_flow(made_flow.first, handed, bad=made_flow.bad)
    assert given_away(Machine().session, at_once) is None


def test_what_a_worker_was_to_run_is_no_function_any_more() -> None:
    # Only a call that process_one_work() took from a worker counts.
    held = made.owner(int(ONE.address) + 24, "slab", slab=ONE, offset=24)
    step = made.flow_step("loaded", "process_one_work", 0x1234)
    modules = made.modules()
    other = made.data_flow(made.way(step, held_in=held, function="poll"), subject="target")
    assert freed_work(Machine().session, modules, other) is None
    operand = made.data_flow(made.way(step, held_in=held, function="process_one_work"))
    assert freed_work(Machine().session, modules, operand) is None


DRIVER = made.module("drv", 0xFFFFFFFFC0300000, 0xFFFFFFFFC0301000, "O")
MODULES = made.modules(DRIVER)
MEASURE, ELSEWHERE = 0xFFFFFFFFC0300040, 0x6E6F2073656E6F73
RUNS = {"memcpy_orig": Role.FAULT, "measure": Role.CALLER, "process_one_work": Role.CALLER}


def running(
    monkeypatch: pytest.MonkeyPatch, names: int | None, state: str, *, at: int = TIMER, **code: str
) -> object:
    trace = made.backtrace(**RUNS)
    modules = {"measure": "drv"}
    frames = tuple(replace(f, module=modules.get(f.function)) for f in trace.frames)
    slab = replace(ONE, state=state) if at == TIMER else None
    inner = [
        ModuleFunction(name, MEASURE, frozenset([called]), frozenset(), copies=False)
        for name, called in code.items()
    ]
    monkeypatch.setattr(handler_object, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(handler_object, "remembered", lambda *_: iter([at]))
    monkeypatch.setattr(handler_object, "_target", lambda *_: names)
    monkeypatch.setattr(handler_object, "owner_of", lambda *_: made.owner(at, "slab", slab=slab))
    return running_object(Machine().session, MODULES, replace(trace, frames=frames), 0)


def test_what_a_running_function_was_run_for_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = running(monkeypatch, ELSEWHERE, "allocated", unplug="kfree")
    assert isinstance(found, tuple)
    assert found[1:] == (ONE, 16)
    assert "process_one_work was running measure for the work item" in found[0]
    # Free, and still as it was.
    assert running(monkeypatch, MEASURE, "free") is not None


def test_what_still_names_the_module_or_is_not_known_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Another function of the module: the one that was run has jumped on to this.
    assert running(monkeypatch, MEASURE + 0x80, "allocated") is None
    assert running(monkeypatch, None, "allocated") is None
    assert running(monkeypatch, ELSEWHERE, "allocated", at=TIMER + 4096) is None


def test_a_handler_may_free_what_it_is_run_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert running(monkeypatch, MEASURE, "free", measure="kfree") is None
    assert running(monkeypatch, MEASURE, "free", measure="drop", drop="kfree") is None


@pytest.mark.parametrize(
    ("runner", "at"), [("process_one_work", 1), ("call_timer_fn", 2), ("__run_hrtimer", 3)]
)
def test_of_a_handlers_kind_alone_is_asked_what_runs(
    runner: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer's function may have been interrupted by that of a hrtimer."""

    def holding(value: int) -> Any:
        return SimpleNamespace(value_=lambda: value)

    worker = SimpleNamespace(current_work=holding(1))
    timers = [SimpleNamespace(running_timer=holding(2)), SimpleNamespace(running_timer=holding(0))]
    clocks = SimpleNamespace(clock_base=[SimpleNamespace(running=holding(3))])
    monkeypatch.setattr("drgn.cast", lambda *_: worker)
    monkeypatch.setattr("drgn.helpers.linux.kthread.kthread_data", lambda _: None)
    monkeypatch.setattr("drgn.helpers.linux.sched.cpu_curr", lambda *_: None)
    monkeypatch.setattr("drgn.helpers.linux.percpu.per_cpu", lambda variable, _: variable)
    prog = {"timer_bases": timers, "hrtimer_bases": clocks}
    assert list(handler_object.remembered(prog, runner, 0)) == [at]

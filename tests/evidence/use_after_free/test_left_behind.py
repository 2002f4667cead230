"""What still leads to memory that was given back, and who left it so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from handmade_facts import (
    ABSENT,
    data_flow,
    flow_step,
    frame,
    list_report,
    module,
    modules,
    owner,
    way,
)
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import left_behind
from oopsight.evidence.use_after_free.left_behind import LeftBehind, collect

START = 0xFFFFFFFFC0000000
LOADED = modules(module("drv", START, START + 0x1000, "O"))
POISON = 0x6B6B6B6B6B6B6B6B


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {
        "drv_new": ("kmalloc_trace", "idr_alloc", "kfree"),
        "drv_ban": ("kfree",),
        "drv_close": ("idr_remove", "kfree"),
        "drv_wait": ("add_wait_queue", "schedule"),
        "drv_exit": ("kfree",),
    }
    found = tuple(
        ModuleFunction(name, START + at, frozenset(called), frozenset(), copies=False)
        for at, (name, called) in enumerate(calls.items())
    )
    monkeypatch.setattr(module_roles, "functions", lambda *_: found)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: {START + 4})


def found(flow: Any) -> LeftBehind | Missing:
    return collect(Machine().session, flow, LOADED, ABSENT, ABSENT)


def test_who_frees_what_can_still_be_looked_up() -> None:
    step = flow_step("loaded", "drv_submit", POISON, "drv")
    got = flow_step("returned", "drv_submit", 0, "drv")
    ways = (way(step), way(got, returned_by="idr_find", module="drv"))
    answer = found(data_flow(*ways, bad=owner(POISON, "poison")))
    assert isinstance(answer, LeftBehind)
    # Who puts new ones in, and frees those that fail, comes last.
    assert (answer.by, answer.functions) == ("idr_find()", ("drv_ban", "drv_new"))
    assert answer.taken_out_by == "idr_remove()"


def test_who_takes_it_out_of_another_tree_leaves_it_in_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def use(*calls: tuple[str, int, bool]) -> FieldUse:
        handed = (Handed(8, n, own, (Value("number", tree),) * 2) for n, tree, own in calls)
        return FieldUse((), (), counts=False, handed=tuple(handed))

    uses = {
        "drv_submit": use(("idr_find", START + 0x800, False)),
        "drv_close": use(("idr_remove", START + 0x900, False)),
        "drv_ban": use(("drv_take", 0, True)),
        "drv_take": use(("idr_remove", START + 0x800, False)),
    }
    monkeypatch.setattr(left_behind, "uses_of", lambda *_: uses)
    step = flow_step("loaded", "drv_submit", POISON, "drv")
    got = flow_step("returned", "drv_submit", 0, "drv")
    ways = (way(step), way(got, returned_by="idr_find", module="drv"))
    answer = found(data_flow(*ways, bad=owner(POISON, "poison")))
    assert isinstance(answer, LeftBehind)
    assert answer.functions == ("drv_close", "drv_new")


def test_who_has_a_helper_free_it_is_to_take_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {
        "drv_free": frozenset({"kfree"}),
        "drv_close": frozenset({"idr_remove", "drv_free"}),
        "drv_ban": frozenset({"drv_free"}),
    }
    code = tuple(
        ModuleFunction(
            name, START + at, called, frozenset(), copies=False, own=called & {"drv_free"}
        )
        for at, (name, called) in enumerate(calls.items())
    )
    freeing = FieldUse((), (), counts=False, roots=frozenset({"argument"}))
    monkeypatch.setattr(module_roles, "functions", lambda *_: code)
    monkeypatch.setattr(left_behind, "uses_of", lambda *_: {"drv_free": freeing})
    step = flow_step("loaded", "drv_submit", POISON, "drv")
    got = flow_step("returned", "drv_submit", 0, "drv")
    ways = (way(step), way(got, returned_by="idr_find", module="drv"))
    answer = found(data_flow(*ways, bad=owner(POISON, "poison")))
    assert isinstance(answer, LeftBehind)
    assert answer.functions == ("drv_ban",)


def test_a_walk_hands_on_what_was_left_there() -> None:
    passed = flow_step("passed", "idr_for_each", 0x1000)
    ways = (way(flow_step("loaded", "drv_tell", POISON, "drv"), module="drv"), way(passed))
    answer = found(data_flow(*ways, bad=owner(POISON, "poison")))
    assert isinstance(answer, LeftBehind)
    assert (answer.module, answer.by) == ("drv", "idr_for_each()")


def test_who_queues_entries_on_its_stack() -> None:
    stack = owner(0xFFFFC90000003B30, "stack", detail="the stack of another task")
    queue = owner(START + 0x800, "module", module="drv")
    step = flow_step("loaded", "__wake_up_common", 0x1255)
    ways = (way(step, held_in=stack), way(step, held_in=queue, name="struct wait_queue_head.head"))
    answer = found(data_flow(*ways, bad=owner(0x1255, "user")))
    assert isinstance(answer, LeftBehind)
    assert (answer.on_stack, answer.functions) == (True, ("drv_wait",))


def test_nothing_is_said_of_other_ways() -> None:
    step = flow_step("loaded", "drv_submit", POISON, "drv")
    got = way(step, returned_by="kmalloc_trace", module="drv")
    assert isinstance(found(data_flow(got, bad=owner(POISON, "poison"))), Missing)


OLD = 0xFFFFC90000493BB0
WORDS = f"list_add corruption. prev->next should be next ({START + 0x880:x}), but was "
WORDS += f"0000000000000000. (prev={OLD:x})."


def listed(kind: str, *, in_use: bool, monkeypatch: pytest.MonkeyPatch) -> LeftBehind | Missing:
    report = list_report(WORDS)
    known = {
        "prev": owner(OLD, kind, detail="the stack of another task"),
        "should": owner(START + 0x880, "module", module="drv", symbol="drv_waiting"),
    }
    entries = tuple(replace(one, owner=known.get(one.role, one.owner)) for one in report.entries)
    path = Backtrace((frame(0, "drv_submit", Role.FAULT, "drv"),), (), True, "invalid_op")
    monkeypatch.setattr(left_behind, "leavers", lambda *_: ("drv_ask",))
    monkeypatch.setattr(left_behind, "in_use", lambda *_: in_use)
    flow = data_flow(way(flow_step("set", "drv_submit", 0, "drv")))
    return collect(Machine().session, flow, LOADED, replace(report, entries=entries), path)


def test_an_entry_of_a_function_that_has_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = listed("stack", in_use=False, monkeypatch=monkeypatch)
    assert isinstance(answer, LeftBehind)
    assert (answer.by, answer.functions, answer.on_stack) == ("drv_waiting", ("drv_ask",), True)
    assert answer.entry is not None
    assert answer.entry.address == OLD
    # The function is still at work on that stack: its entry is there by right.
    assert isinstance(listed("stack", in_use=True, monkeypatch=monkeypatch), Missing)
    # Or the neighbour is on no stack.
    assert isinstance(listed("slab", in_use=False, monkeypatch=monkeypatch), Missing)

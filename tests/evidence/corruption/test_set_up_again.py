"""An entry of a list that leads to itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.corruption import set_up_again
from oopsight.evidence.corruption.set_up_again import SetUpAgain, collect
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

MODULE = 0xFFFFFFFFC0400000
OBJECT = int(made.slab_object().address)
ENTRY, HEAD = OBJECT + 0x18, 0xFFFF888003500000
MODULES = made.modules(made.module("valves", MODULE, MODULE + 0x1000, "O"))


def use(key: int, into: str | None = None) -> FieldUse:
    return FieldUse((), (Stored(key, "itself", None, into=into),), counts=False)


CODE = {
    "valves_other": (use(0x40), ()),
    "valves_ready": (use(0x18), ()),
    "valves_make": (use(0x18, "kmalloc"), ()),
    "valves_add": (use(0x18), ("kmalloc_trace",)),
    "valves_drop": (use(0x18), ("__list_del_entry_valid",)),
}


ARGUMENT, MADE = Value("argument", 1), Value("returned", 2, None, "kmalloc_trace")


def queue(of: Value, distance: int, by: str = "__init_waitqueue_head") -> FieldUse:
    """A function that has a wait queue set up."""
    member = Value("inner", distance, of)
    handed = (Handed(0, by, own=False, arguments=(member,)),)
    return replace(use(0x80), stores=(), handed=handed)


def timer(of: Value, distance: int) -> FieldUse:
    return queue(of, distance, "init_timer_key")


QUEUES = {
    "valves_elsewhere": (queue(ARGUMENT, 0x40), ()),
    "valves_open": (queue(ARGUMENT, 0x10), ("__list_del_entry_valid",)),
    "valves_new": (queue(MADE, 0x10), ("kmalloc_trace", "valves_prepare")),
    "valves_prepare": (queue(ARGUMENT, 0x10), ()),
    "valves_ready": (use(0x18), ()),
}


def found(
    monkeypatch: pytest.MonkeyPatch,
    was: int = ENTRY,
    inside: int = ENTRY,
    having: dict[str, tuple[FieldUse, tuple[str, ...]]] = CODE,
) -> Any:
    machine = Machine()
    machine.words(ENTRY, inside, inside)
    code = [
        ModuleFunction(name, MODULE + 16 * at, frozenset(calls), frozenset(), copies=False)
        for at, (name, (_, calls)) in enumerate(having.items())
    ]
    monkeypatch.setattr(set_up_again, "inner_functions", lambda *_: code)
    monkeypatch.setattr(
        set_up_again, "uses_of", lambda *_: {name: one for name, (one, _) in having.items()}
    )
    report = made.list_report(
        f"list_add corruption. prev->next should be next ({HEAD:x}), but was {was:x}. "
        f"(prev={ENTRY:x})."
    )
    owner = made.owner(ENTRY, "slab", module="valves", slab=made.slab_object(), offset=0x18)
    entries = tuple(
        replace(one, owner=replace(owner, address=one.owner.address)) for one in report.entries
    )
    report = replace(report, entries=entries)
    return collect(machine.session, report, made.ABSENT, MODULES, made.ABSENT)


def test_who_sets_up_what_was_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    again = found(monkeypatch)
    assert isinstance(again, SetUpAgain)
    # At the very place first; neither what is new nor what was taken off counts.
    assert again.functions == ("valves_ready", "valves_other")


def test_who_sets_up_a_wait_queue_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    again = found(monkeypatch, having=QUEUES)
    assert isinstance(again, SetUpAgain)
    # Neither another queue, nor one that is new, nor who only serves the maker.
    assert again.functions == ("valves_open",)
    assert again.head
    assert not found(monkeypatch).head


def test_any_other_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(found(monkeypatch, was=HEAD), Missing)
    assert isinstance(found(monkeypatch, inside=HEAD), Missing)


TIMERS = {
    "valves_call": (timer(ARGUMENT, 0x18), ()),
    "valves_make": (timer(MADE, 0x18), ("kmalloc_trace",)),
    "valves_other": (timer(ARGUMENT, 0x60), ()),
}


@pytest.mark.parametrize(("bad", "found"), [("LIST_POISON2", True), ("POISON_FREE", False)])
def test_who_sets_up_a_timer_that_may_be_pending(
    monkeypatch: pytest.MonkeyPatch, bad: str, found: bool
) -> None:
    code = [
        ModuleFunction(name, MODULE + 16 * at, frozenset(calls), frozenset(), copies=False)
        for at, (name, (_, calls)) in enumerate(TIMERS.items())
    ]
    uses = {name: one for name, (one, _) in TIMERS.items()}
    monkeypatch.setattr(set_up_again, "inner_functions", lambda *_: code)
    monkeypatch.setattr(set_up_again, "uses_of", lambda *_: uses)
    held = made.owner(ENTRY, "slab", module="valves", slab=made.slab_object(), offset=0x18)
    step = made.flow_step("loaded", "__run_timers", memory=BytesPointer(held.address, "22"))
    poison = made.owner(0xDEAD000000000122, "poison", detail=bad)
    flow = made.data_flow(made.way(step, held_in=held), bad=poison)
    again = collect(Machine().session, made.ABSENT, flow, MODULES, made.ABSENT)
    assert isinstance(again, SetUpAgain) is found
    if isinstance(again, SetUpAgain):
        assert (again.functions, again.pending) == (("valves_call",), True)

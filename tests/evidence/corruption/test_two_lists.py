"""Rings of list entries, made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import two_lists
from oopsight.evidence.corruption.two_lists import TwoLists, collect
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

MODULE = 0xFFFFFFFFC0300000
READY = MODULE + 0x800
ENTRY, NEXT, OTHER = 0xFFFF888003400000, 0xFFFF888003400040, 0xFFFF888003400080
MODULES = made.modules(made.module("jobs", MODULE, MODULE + 0x1000, "O"))
TEXT = f"list_del corruption. prev->next should be {NEXT:x}, but was {{was:x}}. (prev={ENTRY:x})"
ADD, DELETE = "__list_add_valid", "__list_del_entry_valid"


def function(name: str, at: int, *calls: str, refers: int = READY) -> ModuleFunction:
    known = frozenset(calls)
    return ModuleFunction(name, MODULE + at, known, frozenset([refers]), copies=False)


CODE = [
    function("jobs_ready", 0x10, ADD),
    function("jobs_cancel", 0x20, DELETE),
    function("jobs_submit", 0x30, "kmalloc_trace", ADD, refers=MODULE + 0x900),
]


def found(monkeypatch: pytest.MonkeyPatch, code: list[ModuleFunction], was: int = READY) -> Any:
    machine = Machine()
    machine.symbols = {READY: ("jobs_runnable", 16)}
    machine.words(ENTRY, was, READY)
    machine.words(READY, ENTRY, ENTRY)
    machine.words(OTHER, READY, ENTRY)
    monkeypatch.setattr(module_roles, "functions", lambda *_: code)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    report = made.list_report(TEXT.format(was=was))
    entries = tuple(replace(one, owner=replace(one.owner, kind="slab")) for one in report.entries)
    return collect(machine.session, replace(report, entries=entries), MODULES, made.ABSENT)


def test_an_entry_that_was_added_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = found(monkeypatch, CODE)
    assert isinstance(twice, TwoLists)
    assert (twice.head, twice.module) == ("jobs_runnable", "jobs")
    assert (twice.adders, twice.only) == (("jobs_ready",), True)
    # The head is found through other entries too.
    assert found(monkeypatch, CODE, OTHER).head == "jobs_runnable"


@pytest.mark.parametrize(
    "another",
    [
        # It adds there as well, and may have forgotten to take off.
        function("jobs_requeue", 0x40, ADD, DELETE),
        # The first adds for it what it allocates.
        function("jobs_make", 0x40, "kmalloc_trace", "jobs_ready", refers=0),
    ],
)
def test_another_that_can_have_added_leaves_it_open(
    monkeypatch: pytest.MonkeyPatch, another: ModuleFunction
) -> None:
    twice = found(monkeypatch, [*CODE, another])
    assert (twice.adders, twice.only) == (("jobs_ready",), False)


def test_who_has_a_helper_take_the_entry_off_does_both(monkeypatch: pytest.MonkeyPatch) -> None:
    tick = function("jobs_tick", 0x40, ADD, "jobs_cancel")
    twice = found(monkeypatch, [*CODE, tick])
    assert (twice.adders, twice.only) == (("jobs_ready",), False)
    assert found(monkeypatch, [*CODE[1:], tick]).adders == ("jobs_tick",)


def test_a_pointer_to_where_nothing_leads_back_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(found(monkeypatch, CODE, NEXT), Missing)


def test_where_the_list_comes_back_to_the_entry_its_head_is_found_the_other_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An entry that was set up anew and added again: its old neighbours still lead to it."""
    machine = Machine()
    machine.symbols = {READY: ("jobs_runnable", 16)}
    # head <-> NEXT <-> ENTRY <-> OTHER was the order; ENTRY is behind OTHER now.
    machine.words(READY, NEXT, ENTRY)
    machine.words(NEXT, ENTRY, READY)
    machine.words(ENTRY, READY, OTHER)
    machine.words(OTHER, ENTRY, ENTRY)
    monkeypatch.setattr(module_roles, "functions", lambda *_: CODE)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    text = (
        f"list_del corruption. next->prev should be {NEXT:x}, but was {OTHER:x}. (next={ENTRY:x})"
    )
    report = made.list_report(text)
    entries = tuple(replace(one, owner=replace(one.owner, kind="slab")) for one in report.entries)
    twice = collect(machine.session, replace(report, entries=entries), MODULES, made.ABSENT)
    assert isinstance(twice, TwoLists)
    assert (twice.head, twice.adders) == ("jobs_runnable", ("jobs_ready",))


@pytest.mark.parametrize("behind", [ENTRY, NEXT])
def test_an_entry_that_was_added_again_is_led_to_after_its_deletion(
    monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    machine = Machine()
    machine.symbols = {READY: ("jobs_runnable", 16)}
    # head <-> ENTRY <-> OTHER was the order; ENTRY was put behind OTHER, and deleted there.
    machine.words(READY, ENTRY, OTHER)
    machine.words(ENTRY, 0xDEAD000000000100, 0xDEAD000000000122)
    machine.words(OTHER, READY, behind)
    machine.words(NEXT, READY, READY)
    monkeypatch.setattr(module_roles, "functions", lambda *_: CODE)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    text = f"list_del corruption, {ENTRY:x}->next is LIST_POISON1 (dead000000000100)"
    memory = BytesPointer(Address(READY), ENTRY.to_bytes(8, "little").hex())
    step = replace(made.flow_step("loaded", "jobs_next", ENTRY, "jobs"), memory=memory)
    flow = made.data_flow(made.way(step), subject="argument")
    twice = collect(machine.session, made.list_report(text), MODULES, flow)
    if behind != ENTRY:  # what was before it leads to it alone: it may have been freed there
        assert isinstance(twice, Missing)
        return
    assert isinstance(twice, TwoLists)
    assert (twice.head, twice.adders, twice.deleted) == ("jobs_runnable", ("jobs_ready",), True)


def test_of_a_list_in_an_object_the_module_that_worked_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who adds whatever the entry says comes first; of a helper who calls it so."""
    head = 0xFFFF888003400100
    code = [
        function("jobs_start", 0x10, ADD),
        function("jobs_resume", 0x20, ADD),
        function("jobs_cancel", 0x30, ADD, DELETE),
    ]
    always = {"jobs_resume", "jobs_retry"}
    monkeypatch.setattr(two_lists, "calls_always", lambda _, one, __: one.name in always)
    monkeypatch.setattr(module_roles, "functions", lambda *_: code)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())

    def collected() -> Any:
        machine = Machine()
        machine.words(ENTRY, head, OTHER)
        machine.words(head, OTHER, ENTRY)
        machine.words(OTHER, ENTRY, head)
        report = made.list_report(TEXT.format(was=head))
        kept = tuple(replace(one, owner=replace(one.owner, kind="slab")) for one in report.entries)
        flow = made.data_flow(made.way(made.flow_step("loaded", "jobs_cancel", ENTRY, "jobs")))
        return collect(machine.session, replace(report, entries=kept), MODULES, flow)

    twice = collected()
    assert isinstance(twice, TwoLists)
    assert (twice.head, twice.module, twice.only) == (None, "jobs", False)
    assert twice.adders == ("jobs_resume", "jobs_start")
    code[:] = [
        function("jobs_put", 0x10, ADD),
        function("jobs_start", 0x20, "jobs_put"),
        function("jobs_retry", 0x30, "jobs_put"),
        function("jobs_make", 0x40, "jobs_put", "kmalloc_trace"),
    ]
    assert collected().adders == ("jobs_retry", "jobs_start", "jobs_put")


@pytest.mark.parametrize(("first_leads_back", "found"), [(False, ("jobs_flush",)), (True, ())])
def test_who_may_have_moved_all_entries_away(
    monkeypatch: pytest.MonkeyPatch, first_leads_back: bool, found: tuple[str, ...]
) -> None:
    """The head to which something is added leads to entries of which none leads back."""
    head = 0xFFFF888003400100
    machine = Machine()
    machine.symbols = {READY: ("jobs_runnable", 16)}
    # READY <-> OTHER <-> ENTRY, and the head they were moved from.
    machine.words(READY, OTHER, ENTRY)
    machine.words(OTHER, ENTRY, head if first_leads_back else READY)
    machine.words(ENTRY, READY, OTHER)
    machine.words(head, OTHER, ENTRY)
    monkeypatch.setattr(module_roles, "functions", lambda *_: CODE)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    monkeypatch.setattr(two_lists, "uses_of", lambda *_: {})
    monkeypatch.setattr(two_lists, "splicing", lambda _: ("jobs_flush",))
    text = (
        f"list_add corruption. prev->next should be next ({head:x}), but was {READY:x}. "
        f"(prev={ENTRY:x})."
    )
    report = made.list_report(text)
    entries = tuple(replace(one, owner=replace(one.owner, kind="slab")) for one in report.entries)
    twice = collect(machine.session, replace(report, entries=entries), MODULES, made.ABSENT)
    assert isinstance(twice, TwoLists)
    assert twice.splicers == found


def test_where_nobody_adds_what_is_there_already_who_makes_entries_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert found(monkeypatch, CODE).makers == ()
    twice = found(monkeypatch, CODE[1:])
    assert (twice.adders, twice.makers) == ((), ("jobs_submit",))

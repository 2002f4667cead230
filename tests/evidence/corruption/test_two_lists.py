"""Rings of list entries, made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.corruption.two_lists import TwoLists, collect
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.module_code import ModuleFunction

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
    return collect(machine.session, replace(report, entries=entries), MODULES)


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
    twice = collect(machine.session, replace(report, entries=entries), MODULES)
    assert isinstance(twice, TwoLists)
    assert (twice.head, twice.adders) == ("jobs_runnable", ("jobs_ready",))

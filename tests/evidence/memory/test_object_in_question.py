"""Whether a handler was running for the object that went wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.cheap import replace
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.two_lists import TwoLists
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.memory import object_in_question
from oopsight.evidence.memory.object_in_question import InQuestion, with_handler

ONE, OTHER = (
    made.slab_object("allocated"),
    made.slab_object("allocated", address=0xFFFF888000099000),
)
NO_CODE = made.fault(None, exception="page_fault")
TASK: Any = SimpleNamespace(cpu=0)


def handled(
    monkeypatch: pytest.MonkeyPatch, found: InQuestion | None, fault: Any = NO_CODE
) -> InQuestion | None:
    running = ("its function was running", ONE, 16)
    monkeypatch.setattr(object_in_question, "running_object", lambda *_: running)
    trace = made.backtrace(measure=Role.FAULT)
    return with_handler(found, Machine().session, made.modules(), trace, fault, TASK)


def test_where_nothing_is_found_it_is_what_the_handler_was_run_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    its = handled(monkeypatch, None)
    assert its is not None
    assert (its.question, its.object, its.place, its.running) == ("reused", ONE, 16, 16)


def test_the_object_that_is_found_is_that_or_another(monkeypatch: pytest.MonkeyPatch) -> None:
    freed = InQuestion("freed", "by hand", ONE)
    assert handled(monkeypatch, freed) == replace(freed, running=16)
    another = InQuestion("freed", "by hand", OTHER)
    assert handled(monkeypatch, another) is another


@pytest.mark.parametrize(("within", "question"), [(True, "reused"), (False, "overrun")])
def test_what_fills_it_is_anothers_if_it_begins_in_it(
    within: bool, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: Any = SimpleNamespace(within=within)
    its = handled(monkeypatch, InQuestion("overrun", "by hand", ONE, ran))
    assert its is not None
    assert its.question == question


def test_only_where_memory_was_met(monkeypatch: pytest.MonkeyPatch) -> None:
    assert handled(monkeypatch, None, made.fault(None, exception="invalid_op")) is None
    assert handled(monkeypatch, None, Missing(Why.NOT_APPLICABLE, "by hand")) is None


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, True),
        ({"makers": ()}, False),
        ({"splicers": ("drv_flush",)}, False),
        ({"deleted": True}, False),
        ({"entry": made.owner(1, "slab", slab=made.slab_object("free"))}, False),
    ],
)
def test_an_entry_that_was_allocated_anew_while_it_was_on_the_list(
    changes: dict[str, Any], found: bool
) -> None:
    entry = made.owner(int(ONE.address) + 8, "slab", slab=ONE)
    word: Any = None
    twice = TwoLists(entry, word, word, None, "drv", (), only=False, makers=("drv_add",))
    its = object_in_question._made_anew(replace(twice, **changes))
    assert (its is not None and (its.question, its.doubted) == ("listed", True)) is found
    assert object_in_question._made_anew(made.ABSENT) is None

"""A work item that a worker took off a queue, and that belongs to none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import drgn
import handmade_facts as made
import pytest
from drgn import Program
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.corruption import requeued_work as module
from oopsight.evidence.corruption.list_report import ListEntry, ListReport
from oopsight.evidence.corruption.requeued_work import RequeuedWork, collect
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules.module_code import ModuleFunction

START = 0xFFFFFFFFC0400000
HANDLER = START + 0x40
WORK = int(made.slab_object().address) + 0x10
MODULES = made.modules(made.module("gw", START, START + 0x1000, "O"))
POOL = 5 << 5


def found(
    monkeypatch: pytest.MonkeyPatch, state: int = POOL, at: int | None = WORK, **changes: Any
) -> RequeuedWork | Missing:
    code = [
        ModuleFunction("gw_prepare", START, frozenset(), frozenset({HANDLER}), copies=False),
        ModuleFunction("gw_reset", START + 16, frozenset(), frozenset(), copies=False),
    ]
    calls = SimpleNamespace(
        context=lambda _: object(),
        tracer=SimpleNamespace(entering=lambda *_: at),
        reader=SimpleNamespace(code_symbol=lambda where: ("gw_send", where, 16)),
    )
    monkeypatch.setattr(module, "calls", lambda *_: calls)
    monkeypatch.setattr(module, "_work", lambda *_: (state, HANDLER, WORK + 8))
    monkeypatch.setattr(module, "inner_functions", lambda *_: code)
    monkeypatch.setattr(module, "setting_up", lambda *_: ((), ("gw_reset", "gw_prepare")))
    monkeypatch.setattr(module, "owner_of", lambda _s, _m, where: made.owner(where, "slab"))
    first = replace(made.frame(0, "process_one_work", Role.FAULT))
    path = replace(made.backtrace(), frames=(changes.pop("inner", first),))
    return collect(Machine().session, made.fault(0x8, **changes), path, MODULES, made.ABSENT)


def test_who_sets_up_the_work_of_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch)
    assert isinstance(one, RequeuedWork)
    assert (one.handler, one.module, one.functions) == ("gw_send", "gw", ("gw_prepare",))
    assert one.memory.bytes == POOL.to_bytes(8, "little").hex()


@pytest.mark.parametrize(
    "changes",
    [
        {"state": 0},  # nothing but zeros: the memory may be another's
        {"state": 0xFFFF888003402005},  # it has a queue
        {"at": None},
        {"exception": "general_protection"},
        {"inner": made.frame(0, "gw_send", Role.FAULT, "gw")},
    ],
)
def test_other_crashes_of_workers(monkeypatch: pytest.MonkeyPatch, changes: Any) -> None:
    assert isinstance(found(monkeypatch, **changes), Missing)


def test_without_types_a_work_item_is_not_read() -> None:
    session: Any = SimpleNamespace(prog=Program())
    assert module._work(session, WORK) is None


@pytest.fixture
def on_list(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module's view of a work item: what it names, and who sets such up."""
    setting = {"able": ("gw_prepare",), "function": HANDLER}
    monkeypatch.setattr(module, "_work", lambda *_: (1, setting["function"], WORK + 8))
    monkeypatch.setattr(module, "_setting_up", lambda *_: setting["able"])
    monkeypatch.setattr(module, "owner_of", lambda _s, _m, where: made.owner(where, "slab"))
    monkeypatch.setattr(drgn, "offsetof", lambda *_: 8)
    reader = SimpleNamespace(
        code_symbol=lambda _: ("gw_send", HANDLER, 16), read=lambda _, size: bytes(range(size))
    )
    monkeypatch.setattr(module, "SessionReader", lambda _: reader)
    return setting


def broken(field: str) -> ListReport:
    report = made.list_report("list_del corruption. prev->next should be 10, but was 20. (prev=30)")
    entries = (ListEntry("prev", made.owner(WORK + 8, "slab")),)
    return replace(report, field=field, entries=entries)


def judged(report: ListReport) -> RequeuedWork | Missing:
    session: Any = SimpleNamespace(prog=SimpleNamespace(type=lambda _: None))
    return collect(session, made.fault(), made.backtrace(), MODULES, report)


def test_a_work_item_that_its_neighbour_is_led_to_by(on_list: Any) -> None:
    one = judged(broken("prev->next"))
    assert isinstance(one, RequeuedWork)
    assert one.listed
    assert int(one.work.address) == WORK
    assert (int(one.memory.address), one.memory.bytes) == (WORK + 8, bytes(range(16)).hex())
    assert one.functions == ("gw_prepare",)
    assert on_list["able"]


def test_what_is_no_work_item_or_set_up_by_nobody(on_list: Any) -> None:
    assert isinstance(judged(broken("next->prev")), Missing)
    on_list["able"] = ()
    assert isinstance(judged(broken("prev->next")), Missing)
    on_list["able"], on_list["function"] = ("gw_prepare",), HANDLER + 4
    assert isinstance(judged(broken("prev->next")), Missing)

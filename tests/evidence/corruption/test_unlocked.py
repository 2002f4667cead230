"""Who changes lists without the lock that others of the module take."""

from __future__ import annotations

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.corruption import unlocked as collector
from oopsight.evidence.corruption.unlocked import unlocked
from oopsight.evidence.modules.module_code import ModuleFunction

MODULE = 0xFFFFFFFFC0300000
HEAD = MODULE + 0x800
JOBS = made.module("jobs", MODULE, MODULE + 0x1000, "O")
ADD, DELETE, LOCK = "__list_add_valid", "__list_del_entry_valid", "_raw_spin_lock_bh"


def function(name: str, *calls: str, refers: int = HEAD) -> ModuleFunction:
    return ModuleFunction(name, MODULE, frozenset(calls), frozenset([refers]), copies=False)


CODE = [
    function("jobs_submit", LOCK, ADD),
    function("jobs_link", ADD, refers=0),
    function("jobs_requeue", "mutex_lock", "jobs_link"),
    function("jobs_pick", DELETE),
    function("jobs_count", "kmalloc_trace"),
]


def test_neither_they_nor_their_callers_take_one(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    machine.symbols = {HEAD: ("jobs_runnable", 16)}
    monkeypatch.setattr(collector, "inner_functions", lambda *_: code)
    code = CODE
    found = unlocked(machine.session, JOBS, HEAD)
    assert (found.functions, found.locked) == (("jobs_pick",), ("jobs_submit", "jobs_link"))
    # Another way to the helper has no lock; that it works on this list is not to be seen.
    code = [*CODE, function("jobs_move", "jobs_link", refers=0)]
    assert unlocked(machine.session, JOBS, HEAD).functions == ("jobs_pick",)
    assert unlocked(machine.session, JOBS, None).functions == ("jobs_link", "jobs_pick")


def test_functions_that_all_call_each_other_are_asked_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"jobs_{number}" for number in range(60)]
    code = [function(name, ADD, *names) for name in names]
    code[0] = function(names[0], ADD, LOCK, *names)
    monkeypatch.setattr(collector, "inner_functions", lambda *_: code)
    found = unlocked(Machine().session, JOBS, None)
    assert found.locked == ("jobs_0",)
    assert len(found.functions) == len(names) - 1

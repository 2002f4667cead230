"""A tasklet that was freed while it was scheduled."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.use_after_free import stale_tasklet as this
from oopsight.evidence.use_after_free.anothers import Anothers
from oopsight.evidence.use_after_free.stale_tasklet import stale_tasklet

ONE = made.slab_object("allocated")
AT = int(ONE.address) + 16
ECHO = 0xFFFFFFFFC0300010
MODULES = made.modules()
GIVEN = Anothers("it is on the list of another", ONE, "castlog", ())


def flow(function: str = "tasklet_action_common.constprop.0") -> Any:
    lost = made.way(made.flow_step("computed", function, 0x6E617320342E3231), function=function)
    return made.data_flow(lost, bad=made.owner(0x6E617320342E3231, "non-canonical"))


def tasklet(function: int) -> Any:
    return SimpleNamespace(value_=lambda: AT, func=SimpleNamespace(value_=lambda: function))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    found.symbols = {ECHO: ("sonar_echo", 64)}
    monkeypatch.setattr(this, "owner_of", lambda *_: made.owner(AT, "slab", slab=ONE))
    monkeypatch.setattr(this, "scheduled", lambda _: iter([("tasklet_vec", tasklet(0x2E2E2E2E))]))
    monkeypatch.setattr(this, "entry_given_away", lambda *_: GIVEN)
    return found


def test_what_is_scheduled_and_is_no_tasklet_any_more(machine: Machine) -> None:
    assert stale_tasklet(machine.session, MODULES, flow()) == (GIVEN.role, ONE, 16, GIVEN)


def test_what_is_scheduled_and_free(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    freed = replace(ONE, state="free")
    monkeypatch.setattr(this, "owner_of", lambda *_: made.owner(AT, "slab", slab=freed))
    found = stale_tasklet(machine.session, MODULES, flow())
    assert found == ("it is on the list tasklet_vec of scheduled tasklets", freed, 16, None)


def test_what_is_nobody_elses_may_have_been_run_over(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(this, "entry_given_away", lambda *_: None)
    assert stale_tasklet(machine.session, MODULES, flow()) is None


def test_a_tasklet_with_its_function_is_in_order(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(this, "scheduled", lambda _: iter([("tasklet_vec", tasklet(ECHO))]))
    assert stale_tasklet(machine.session, MODULES, flow()) is None
    assert stale_tasklet(machine.session, MODULES, flow("rcu_do_batch")) is None
    assert stale_tasklet(machine.session, MODULES, None) is None

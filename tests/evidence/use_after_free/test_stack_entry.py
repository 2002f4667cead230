"""Who leaves an entry of its own frame on a list, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_driver import MODULES, Driver

from oopsight.evidence.modules import module_roles
from oopsight.evidence.use_after_free.stack_entry import leavers

# sub rsp,0x28; lea rsi,[rsp+8]: the entry of a wait queue
BEGIN = "4883ec28 488d742408"
# add rsp,0x28; ret
END = "4883c428 c3"
# test eax,eax; je past a call
IF_ANSWERED = "85c0 7405"


@pytest.fixture(autouse=True)
def _all_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())


def test_who_gives_up_waiting_leaves_its_entry() -> None:
    gives_up = (BEGIN, "call prepare_to_wait", IF_ANSWERED, "call finish_wait", END)
    patient = (BEGIN, "call prepare_to_wait", "call finish_wait", END)
    driver = Driver(gives_up=gives_up, patient=patient)
    assert leavers(driver.session, MODULES, "drv") == ("gives_up",)


def test_helpers_that_add_and_remove_entries_are_known() -> None:
    enter, leave = ("jmp add_wait_queue",), ("jmp remove_wait_queue",)
    gives_up = (BEGIN, "call enter", IF_ANSWERED, "call leave", END)
    patient = (BEGIN, "call enter", "call leave", END)
    driver = Driver(enter=enter, leave=leave, gives_up=gives_up, patient=patient)
    assert leavers(driver.session, MODULES, "drv") == ("gives_up",)


def test_an_entry_of_another_is_its_own_affair() -> None:
    driver = Driver(hands_on=("4883ec28", "call prepare_to_wait", END))
    assert leavers(driver.session, MODULES, "drv") == ()
    assert leavers(driver.session, MODULES, "other") == ()

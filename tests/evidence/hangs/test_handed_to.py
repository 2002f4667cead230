"""How far something is from what handlers are handed."""

from __future__ import annotations

import handmade_facts as facts
import pytest
from handmade_session import Machine

from oopsight.evidence.hangs import handed_to as tested
from oopsight.evidence.hangs.handed_to import handed_to
from oopsight.kernel.machine_code import MASK

VARIABLE = 0xFFFFFFFFC0002000
TIMER, HANDLER, OTHER = VARIABLE + 0x10, 0xFFFFFFFFC0000040, 0xFFFFFFFF81000000
MODULE = facts.module("drv", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0001000, "OE")


@pytest.fixture(autouse=True)
def _no_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "slab_object_info", lambda *_: None)


def test_a_timer_in_a_variable() -> None:
    machine = Machine()
    machine.symbols[VARIABLE] = ("scan", 0x40)
    # lock, count; entry, expires, function of the timer; ..., want, got
    machine.words(VARIABLE, 0, 1, 0, 0, 5, HANDLER, OTHER, 0)
    found = handed_to(machine.session, VARIABLE + 0x38, MODULE)
    assert set(found) == {HANDLER}
    assert VARIABLE + 0x38 - TIMER in found[HANDLER]
    before = handed_to(machine.session, VARIABLE + 8, MODULE)
    assert (VARIABLE + 8 - TIMER) & MASK in before[HANDLER]


def test_where_nothing_is_known() -> None:
    assert handed_to(Machine().session, VARIABLE, MODULE) == {}

"""Ways through a function to a call that frees."""

from __future__ import annotations

from handmade_machine import Machine

from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.use_after_free.frees_after import passes_by

# test edi,edi; je 1f; call cdev_del; 1: call kfree; ret
AT_TIMES = "85ff 7405 e8f70f0000 e8f21f0000 c3"


def test_a_way_past_a_call_to_one_that_frees() -> None:
    machine = Machine(AT_TIMES, "c3", "c3")
    calls = Calls(machine, (), {})
    start = machine.start(0)
    call, free = start + 4, start + 9
    assert passes_by(calls, start, {call}, {free})
    assert not passes_by(calls, start, {call}, {call})
    # What is not known to lie there tells nothing.
    assert not passes_by(calls, start, {call + 1}, {free})

"""Ways through a function to a call that frees."""

from __future__ import annotations

import pytest
from handmade_machine import Machine

from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free.frees_after import CodeWays, frees_after, passes_by

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


def test_from_an_instruction_to_one_that_frees() -> None:
    # call add; test eax,eax; jne 1f; ret; 1: call kfree; ret
    machine = Machine("e8fb0f0000 85c0 7501 c3 e8f11f0000 c3", "c3", "c3")
    start = machine.start(0)
    one = ModuleFunction("attach", start, frozenset(), frozenset(), copies=False)
    ways = CodeWays(Calls(machine, (), {}), [one])
    free = start + 10
    # Only where the call has failed.
    assert not ways.onwards("attach", start, free, known=True)
    assert ways.onwards("attach", start + 5, free, known=False)
    assert not ways.onwards("attach", start + 9, free, known=True)
    assert not ways.onwards("attach", start + 5, free, known=True, past=[start + 7])
    # Of what is not known to lie there it is as is asked for.
    assert ways.onwards("attach", start + 1, free, known=True)
    assert not ways.onwards("detach", start, free, known=False)


@pytest.mark.parametrize(
    ("code", "freed"),
    [
        # call add; test rax,rax; jne 1f; ret; 1: call kfree; ret
        ("e8fb0f0000 4885c0 7501 c3 e8f01f0000 c3", True),
        # call add; test rax,rax; je 1f; ret; 1: call kfree; ret
        ("e8fb0f0000 4885c0 7401 c3 e8f01f0000 c3", False),
        # call add; cmp rax,-4096; ja 1f; ret; 1: call kfree; ret
        ("e8fb0f0000 483d00f0ffff 7701 c3 e8ed1f0000 c3", False),
    ],
)
def test_of_a_pointer_that_a_call_returned_none_says_that_it_failed(code: str, freed: bool) -> None:
    machine = Machine(code, "c3", "c3")
    machine.names = ["attach", "proc_create_data", "kfree"]
    start = machine.start(0)
    one = ModuleFunction("attach", start, frozenset(), frozenset(), copies=False)
    calls = Calls(machine, (), {})
    assert frees_after(calls, one, "proc_create_data".__eq__) == freed

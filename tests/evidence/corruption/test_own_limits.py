"""Limits that a function's own code has, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_machine import Machine

from oopsight.evidence.corruption.own_limits import OwnLimit, own_limit
from oopsight.evidence.corruption.writer_limits import writes
from oopsight.evidence.flow.calls import Calls

# 1: mov al,[rsi]; test al,al; je 2f; cmp ecx,46; jg 2f; mov [rdi+rcx],al; inc ecx; inc rsi; jmp 1b
EACH = "31c9 8a06 84c0 740f 83f92e 7f0a 88040f ffc1 48ffc6 ebeb c3"
# as above, and where the character is 0x25: mov [rdi+rcx],al; inc ecx; add rsi,3; jmp 1b
ONE_WAY = (
    "31c9 8a06 84c0 741e 3c25 740f 83f92e 7f15 88040f ffc1 48ffc6 ebe7 88040f ffc1 4883c603 ebdc c3"
)
# as ONE_WAY, with the argument edx in place of 46
TOLD = ONE_WAY.replace("83f92e 7f15", "39d1 90 7d15")
# lea rdx,[rdi+47]; 1: mov al,[rsi]; mov [rdi],al; inc rdi; inc rsi; cmp rdi,rdx; jne 1b; ret
TO_AN_END = "488d572f 8a06 8807 48ffc7 48ffc6 4839d7 75f1 c3"
# 1: xor ecx,ecx; 2: mov [rdi],al; inc rdi; inc ecx; cmp ecx,2; jne 2b; test al,al; jne 1b; ret
IN_PAIRS = "31c9 8807 48ffc7 ffc1 83f902 75f4 84c0 75ee c3"
# 1: mov al,[rsi]; mov [rdi],al; inc rdi; inc rsi; test al,al; jne 1b; ret
TO_THE_END = "8a06 8807 48ffc7 48ffc6 84c0 75f2 c3"


def limit(code: str, *told: str) -> OwnLimit | None:
    machine = Machine(code)
    calls = Calls(machine, (), {})
    made = calls.function(machine.start(0))
    assert made is not None
    return own_limit(calls, made, writes(calls, made), set(told))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (EACH, OwnLimit(46, passed_by=False)),
        (ONE_WAY, OwnLimit(46, passed_by=True)),
        (TO_AN_END, OwnLimit(47, passed_by=False)),
        # What is counted anew each time is no limit of the whole.
        (IN_PAIRS, None),
        (TO_THE_END, None),
    ],
)
def test_a_number_in_the_code(code: str, found: OwnLimit | None) -> None:
    assert limit(code) == found


def test_an_argument_that_one_way_does_not_look_at() -> None:
    assert limit(TOLD, "rdx") == OwnLimit(None, passed_by=True)
    assert limit(TOLD) is None

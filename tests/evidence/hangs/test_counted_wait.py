"""A number that a function waits for, in code as compilers make it."""

from __future__ import annotations

import pytest
from handmade_code import function

from oopsight.evidence.hangs.conditions import NumberAt
from oopsight.evidence.hangs.counted_wait import _taken_down
from oopsight.kernel.machine_code import Expression


@pytest.mark.parametrize(
    ("code", "down"),
    [
        ("f0ff4b38", True),  # lock dec dword ptr [rbx + 0x38]
        ("f0ff4338", False),  # lock inc
        ("836b3801", True),  # sub dword ptr [rbx + 0x38], 1
        ("834338ff", True),  # add …, -1
        ("83433801", False),
        ("b8ffffffff f00fc14338", True),  # mov eax, -1; lock xadd [rbx + 0x38], eax
        ("b801000000 f00fc14338", False),
        ("836c243801", False),  # of the own stack
    ],
)
def test_what_takes_a_number_down(code: str, down: bool) -> None:
    count = NumberAt(0x1050, Expression("rdi", 0x38), 0x18)
    places = _taken_down(function("53 4889fb", code, "5b c3"))
    assert any(count.may_be(place, []) for place in places) is down

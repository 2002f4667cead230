"""A number that a function waits for, in code as compilers make it."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.evidence.hangs.counted_wait import _conditions, _CountAt, _taken_down
from oopsight.kernel.machine_code import Expression

# wait_event(queue, !count): 1: call helper (schedule); mov eax, [rip + 0x100]; test; jne 1b; ret
WAITING = ("call helper", "8b0500010000 85c0 75f1 c3")
RETURN = START + 5


def test_what_is_read_in_the_loop_around_the_call_is_the_condition() -> None:
    ((row, place),) = _conditions(function(*WAITING), RETURN)
    assert row.address == RETURN
    assert place == Expression("", RETURN + 6 + 0x100)
    # Nothing is waited for in a loop; what is read is on the own stack.
    assert not list(_conditions(function("call helper", "8b0500010000 85c0 c3"), RETURN))
    assert not list(_conditions(function("call helper", "8b442410 85c0 75f3 c3"), RETURN))


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
    count = _CountAt(0x1050, Expression("rdi", 0x38), 0x18)
    places = _taken_down(function("53 4889fb", code, "5b c3"))
    assert any(count.may_be(place, []) for place in places) is down


def test_by_its_distance_from_the_queue_that_is_woken() -> None:
    # The waiting function names it by its address, the work item by its own.
    count = _CountAt(0x1050, Expression("", 0x1050), 0x18)
    queue = Expression("rdi", 0x20)
    assert count.may_be(Expression("rdi", 0x38), [queue])
    assert not count.may_be(Expression("rdi", 0x40), [queue])
    assert not count.may_be(Expression("rdi", 0x38), [])
    assert count.may_be(Expression("", 0x1050), [])

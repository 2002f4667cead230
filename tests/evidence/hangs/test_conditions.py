"""What a function looks at in the loop around its wait, in code as compilers make it."""

from __future__ import annotations

from handmade_code import START, function

from oopsight.evidence.hangs.conditions import NumberAt, looked_at
from oopsight.kernel.machine_code import Expression

# wait_event(queue, !count): 1: call helper (schedule); mov eax, [rip + 0x100]; test; jne 1b; ret
WAITING = ("call helper", "8b0500010000 85c0 75f1 c3")
RETURN = START + 5


def test_what_is_read_in_the_loop_around_the_call_is_the_condition() -> None:
    ((row, place),) = looked_at(function(*WAITING), RETURN)
    assert row.address == RETURN
    assert place == Expression("", RETURN + 6 + 0x100)
    # Nothing is waited for in a loop; what is read is on the own stack.
    assert not list(looked_at(function("call helper", "8b0500010000 85c0 c3"), RETURN))
    assert not list(looked_at(function("call helper", "8b442410 85c0 75f3 c3"), RETURN))


def test_by_its_distance_from_the_queue_that_is_woken() -> None:
    # The waiting function names it by its address, the work item by its own.
    count = NumberAt(0x1050, Expression("", 0x1050), 0x18)
    queue = Expression("rdi", 0x20)
    assert count.may_be(Expression("rdi", 0x38), [queue])
    assert not count.may_be(Expression("rdi", 0x40), [queue])
    assert not count.may_be(Expression("rdi", 0x38), [])
    assert count.may_be(Expression("", 0x1050), [])

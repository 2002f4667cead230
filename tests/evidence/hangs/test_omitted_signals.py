"""What tells that a function went the way on which it does not signal."""

from __future__ import annotations

import pytest
from handmade_code import function
from handmade_session import Machine

from oopsight.evidence.hangs.omitted_signals import _seen, _Signal
from oopsight.kernel.machine_code import Expression
from oopsight.kernel.omissions import Mark, Omission

OBJECT = 0xFFFF888000001000
ERRORS = Mark(Expression("rdi", 0x28), 4, None)
RESULT = Mark(Expression("rdi", 0x2C), 4, 0xFFFFFFFB)
ELSEWHERE = Mark(Expression("rsi", 0x2C), 4, 7)
CLEARED = Mark(Expression("rdi", 0x2C), 4, 0)


@pytest.mark.parametrize(
    ("errors", "result", "marks", "seen"),
    [
        (3, 0xFFFFFFFB, (ERRORS, RESULT), 2),
        (1, 0, (ERRORS, RESULT), 1),  # another has written over the result since
        (0, 0, (ERRORS, RESULT), None),
        (0, 0, (ELSEWHERE,), 0),
        (0, 0, (CLEARED,), 0),  # it may have been so from the beginning
        (0, 5, (CLEARED,), None),
    ],
)
def test_what_only_such_a_way_stores_is_looked_for(
    errors: int, result: int, marks: tuple[Mark, ...], seen: int | None
) -> None:
    machine = Machine()
    numbers = errors.to_bytes(4, "little") + result.to_bytes(4, "little")
    machine.memory[OBJECT] = bytes(0x28) + numbers
    signal = _Signal("done", function("c3"), [], "rdi", OBJECT, exact=True)
    found = _seen(machine.session, Omission(0, acts=True, marks=marks), signal)
    assert (len(found) if found is not None else None) == seen
    assert _seen(machine.session, Omission(0, acts=False, marks=()), signal) is None

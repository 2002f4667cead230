"""By how much code changes numbers in memory."""

from __future__ import annotations

import pytest
from handmade_code import function

from oopsight.kernel.count_changes import changes
from oopsight.kernel.machine_code import Expression

SEATS = Expression("rdi", 8)


@pytest.mark.parametrize(
    ("code", "by"),
    [
        (("f0ff4f08 c3",), -1),  # lock dec
        (("83470802 c3",), 2),  # add
        (("836f0801 c3",), -1),  # sub
        (("8b4708 83e801 894708 c3",), -1),  # seats = seats - 1
        (("8b4708 85c0 7409 8d50ff 895708 c3 c3 c3",), -1),  # lea edx, [rax - 1]
        (("8b470c 83e801 894708 c3",), None),  # of another number
        (("8b4708 29f0 894708 c3",), None),  # less what it was given
        (("8b4708 83e801", "call helper", "894708 c3"), None),  # what that returned
        (("c7470805000000 c3",), None),
    ],
)
def test_by_how_much(code: tuple[str, ...], by: int | None) -> None:
    found = [(one.place, one.by) for one in changes(function(*code))]
    assert found == ([] if by is None else [(SEATS, by)])

"""A count of parts is set, and fewer of them are given to anybody."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.kernel.machine_code import Expression, Instruction
from oopsight.kernel.skipped_parts import skipped

PENDING = Expression("rdi", 0x10)
SET = "c7471002000000"  # io->pending = 2
# if (!io->a) helper(io); if (!io->b) helper(io)
UNROLLED = (
    "53 4889fb",
    SET,
    "807f1800 7505",
    "call helper",
    "807b3800 7505",
    "call helper",
    "5b c3",
)
ALWAYS = ("53 4889fb", SET, "call helper", "4889df", "call helper", "5b c3")
# io->pending = n; for (i = 0; i < n; i++) { if (io->legs[i]) continue; helper(io); }
LOOP = (
    "55 53 4889fd 897710 31db",  # 0
    "39f3 7311",  # a: i >= n, out
    "807c1d1800 7505",  # e
    "call helper",  # 15
    "83c301 ebeb",  # 1a
    "5b 5d c3",  # 1f
)
EACH = (*LOOP[:2], "807c1d1800 9090", *LOOP[3:])
# if (io->legs[i]) return
BREAKS = (*LOOP[:2], "807c1d1800 750a", *LOOP[3:])
# if (io->legs[i]) { io->pending--; continue; }
COUNTS = (
    "55 53 4889fd 897710 31db",
    "39f3 7317",
    "807c1d1800 7406",
    "836d1001 eb05",
    *LOOP[3:4],
    "83c301 ebe5",
    "5b 5d c3",
)


def gives(row: Instruction) -> bool:
    return row.mnemonic == "call"


@pytest.mark.parametrize(
    ("code", "at"),
    [
        (UNROLLED, 0x22),
        (ALWAYS, None),
        (LOOP, 0x13),
        (EACH, None),
        (BREAKS, 0x13),
        (COUNTS, None),
        # helper(io) may give both
        (("53 4889fb", SET, "call helper", "5b c3"), None),
        # pending = 1; if (error) return; helper(io)
        (("53 c7471001000000 85f6 7505", "call helper", "5b c3"), 0x12),
        (("53 c7471000000000 85f6 7505", "call helper", "5b c3"), None),
        ((SET, "c3"), None),
    ],
)
def test_parts_that_nobody_is_given(code: tuple[str, ...], at: int | None) -> None:
    found = skipped(function(*code), PENDING, gives)
    assert found == (None if at is None else START + at)
    assert skipped(function(*code), PENDING.plus(4), gives) is None

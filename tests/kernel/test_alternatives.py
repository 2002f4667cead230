"""Calls of which only one is carried out."""

from __future__ import annotations

import pytest
from handmade_code import function

from oopsight.kernel.alternatives import instead
from oopsight.kernel.machine_code import direct_target

# Two calls: test esi, esi; je to the second
BRANCH = ("85f6 7407", "call helper", "eb05", "call up", "c3")
ROUND = ("53 85f6 7407", "call helper", "eb05", "call up", "ffcb 75ed 5b c3")


@pytest.mark.parametrize(
    ("parts", "exclusive"),
    [
        (BRANCH, True),
        # In a loop, by another way each time.
        (ROUND, True),
        # One after the other, and the first only at times.
        (("call helper", "call up", "c3"), False),
        (("85f6 7405", "call helper", "call up", "c3"), False),
    ],
)
def test_one_call_instead_of_another(parts: tuple[str, ...], *, exclusive: bool) -> None:
    code = function(*parts)
    calls = [at for at, row in code.code.items() if row.mnemonic == "call" and direct_target(row)]
    assert instead(code, calls[0], calls[1]) is exclusive

"""Ways from where a pointer is stored to where it is given back, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_driver import Driver

from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.given_twice import Kept, _leads

RET = "c3"
# The result into the memory at rbx + 0x10.
STORE = "48894310"
# Past the next six bytes, where esi is zero.
UNLESS = "85f6 7406"
# To the beginning, from behind 13 bytes.
AGAIN = "ebf1"


@pytest.fixture(autouse=True)
def _all_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())


@pytest.mark.parametrize(
    ("code", "stored", "leads"),
    [
        (("call look_up", STORE, "call put", RET), 9, True),
        # What is given back is the next one, which has not been stored.
        (("call look_up", UNLESS, STORE, AGAIN, "call put", RET), 13, False),
    ],
)
def test_what_is_given_back_is_what_was_stored(
    code: tuple[str, ...], stored: int, leads: bool
) -> None:
    driver = Driver(fill=code)
    start, put = driver.starts["fill"], driver.site("fill", "put")
    ownership = driver.ownership()
    what = Kept((0x10, 0), start + stored, put, "look_up")
    assert _leads(ownership, ownership.by_start[start], what) is leads

"""Which exceptions are a fault, and which are served as they should."""

from __future__ import annotations

from typing import Any

import pytest
from handmade_facts import ABSENT, backtrace

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.crash.fault import collect

SESSION: Any = None


@pytest.mark.parametrize("serving", ["handle_mm_fault", "__handle_mm_fault"])
def test_memory_that_runs_out_as_a_page_is_brought_in_is_no_fault(serving: str) -> None:
    served = {"panic": Role.PANIC_PATH, serving: Role.PANIC_PATH, "put_user": Role.FAULT}
    found = collect(SESSION, backtrace(**served), ABSENT)
    assert isinstance(found, Missing)
    assert "served" in found.detail

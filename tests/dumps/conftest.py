"""Marks and fixtures of the tests on real dumps."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_dumps import CASES, Case, lab_dump


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.dump)


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    lab_dump(chosen)
    return chosen

"""Marks, options and fixtures of the tests on real dumps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_dumps import CASES, Case, Maker, Subject, analysed, opened

import oopslab.cache

# Tests give XDG_CACHE_HOME another value for the packs; the lab stays where it is.
os.environ["OOPSIGHT_LAB_CACHE"] = str(oopslab.cache.root())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.dump)


@pytest.fixture(scope="session")
def maker(request: pytest.FixtureRequest) -> Iterator[Maker]:
    """Starts on the dumps of all cases that this run has tests for."""
    chosen: list[Case] = []
    for item in request.session.items:
        parameters = (
            item.callspec.params
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else {}
        )
        case = parameters.get("subject")
        if case is not None and case not in chosen:
            chosen.append(case)
    made = Maker()
    made.start(chosen)
    yield made
    made.stop()


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def subject(request: pytest.FixtureRequest, maker: Maker) -> Subject:
    """Each case in turn, all tests of one before the next: only one dump is open at a time."""
    case: Case = request.param
    dump = maker.get(case)
    session = opened(dump)
    return Subject(case, dump, session, analysed(session))


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether to rewrite what is recorded; the truth is never rewritten."""
    return bool(request.config.getoption("--update"))

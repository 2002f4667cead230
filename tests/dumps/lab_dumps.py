"""Real dumps for the tests: the lab makes each on first use and keeps it outside the tree."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

import oopslab
from oopsight.report import analyze
from oopsight.session import Session, open_session

Case = tuple[str, str, str]
"""Scenario, kernel series, way of capture."""

CASES: list[Case] = [
    ("incident", "6.1", "qmp"),
    ("incident", "6.1", "kdump"),
    ("incident", "6.12", "qmp"),
    ("incident", "6.12", "kdump"),
    ("incident-slabtop", "6.1", "qmp"),
    ("incident-reloaded", "6.1", "qmp"),
    ("null-deref", "6.1", "qmp"),
    ("null-deref", "6.1", "kdump"),
    ("null-deref", "6.12", "qmp"),
    ("sysrq", "6.1", "qmp"),
    ("sysrq", "6.1", "kdump"),
    ("sysrq", "6.12", "qmp"),
]


@functools.cache
def made(scenario: str, kernel: str, capture: str) -> oopslab.LabDump | str:
    """The dump, or why there is none on this machine."""
    try:
        return oopslab.ensure(scenario, kernel=kernel, capture=capture)
    except oopslab.LabUnavailable as error:
        return str(error)


def lab_dump(case: Case) -> oopslab.LabDump:
    dump = made(*case)
    if isinstance(dump, str):
        pytest.skip(dump)
    return dump


def opened(dump: oopslab.LabDump, vmcore: Path | None = None, *extra_directories: Path) -> Session:
    return open_session(
        vmcore or dump.vmcore, debug_directories=(dump.debug_dir, *extra_directories)
    )


@functools.cache
def report_of(case: Case) -> dict[str, Any]:
    return analyze(opened(lab_dump(case)))

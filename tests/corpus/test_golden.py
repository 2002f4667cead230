"""Rules and report on evidence recorded from real dumps, without any dump.

``--update`` writes the reports anew; read their diff. The recordings themselves are made anew from
real dumps by ``tests/dumps/test_recordings.py --update``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus import RECORDINGS, REPORTS, golden, read, write_report
from oopsight.evidence.recording import restore
from oopsight.report import build

CASES = sorted(RECORDINGS.glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_report_of_recorded_evidence(path: Path, request: pytest.FixtureRequest) -> None:
    report = json.loads(json.dumps(build(restore(read(path)))))
    expected = REPORTS / path.name
    if request.config.getoption("--update"):
        write_report(expected, report)
    assert golden(report) == read(expected), "--update rewrites the report; read its diff"


def test_every_report_has_its_recording() -> None:
    assert [path.name for path in CASES] == sorted(path.name for path in REPORTS.glob("*.json"))
    assert CASES

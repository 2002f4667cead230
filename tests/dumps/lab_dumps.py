"""Real dumps for the tests: the lab makes each on first use and keeps it outside the tree.

Which ones follows from the scenarios' own descriptions. ``OOPSIGHT_TEST_KERNELS`` names the series
of which all scenarios are taken (``6.1`` unless it is set, or e.g. ``6.1,6.12,7.2,5.10``); of each
other known to work with a scenario about a third is taken, always the same one.
"""

from __future__ import annotations

import functools
import json
import os
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import oopslab
from oopsight.report import build
from oopsight.report.verify import Verifier
from oopsight.session import Session, open_session
from oopslab.scenario import Settings, load

Case = tuple[str, str, str]
"""Scenario, kernel series, way of capture."""

HERE = Path(__file__).resolve().parent
MISSES = HERE / "known_misses.json"
MATRIX = HERE.parent / "corpus" / "matrix.json"
ALWAYS = ("6.1", "6.12")
"""Series with which every machine that runs these tests can deal."""


def _cases() -> list[Case]:
    widened = os.environ.get("OOPSIGHT_TEST_KERNELS", "6.1").replace(",", " ").split()
    return [
        case for name in oopslab.scenarios() for case in _of(load(name).settings, name, widened)
    ]


def _of(settings: Settings, name: str, whole: list[str]) -> list[Case]:
    if settings.heavy:
        return []
    third = zlib.crc32(name.encode()) % 3 == 0
    cases = []
    for series in settings.kernels:
        only = not set(settings.kernels) & set(whole)
        if series in whole or (series in ALWAYS and (third or only)):
            cases += [(name, series, capture) for capture in settings.captures]
    return cases


CASES: list[Case] = _cases()


@dataclass
class Subject:
    """A dump under test, opened and analysed once for all tests of its case."""

    case: Case
    dump: oopslab.LabDump
    session: Session
    report: dict[str, Any]

    @functools.cached_property
    def verifier(self) -> Verifier:
        return Verifier(self.session)

    @property
    def truth(self) -> dict[str, Any]:
        return self.dump.truth

    @property
    def id(self) -> str:
        return "-".join(self.case)


class Maker:
    """Makes the dumps ahead of the tests, two at a time: much of it is waiting for a guest."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._made: dict[Case, Future[oopslab.LabDump]] = {}

    def start(self, cases: list[Case]) -> None:
        for case in cases:
            scenario, kernel, capture = case
            self._made[case] = self._pool.submit(
                oopslab.ensure, scenario, kernel=kernel, capture=capture
            )

    def get(self, case: Case) -> oopslab.LabDump:
        """The dump; where this machine cannot make it the test is skipped and says why."""
        if case not in self._made:
            self.start([case])
        try:
            return self._made[case].result()
        except oopslab.LabUnavailable as error:
            pytest.skip(str(error))

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def opened(dump: oopslab.LabDump, vmcore: Path | None = None, *extra_directories: Path) -> Session:
    return open_session(
        vmcore or dump.vmcore, debug_directories=(dump.debug_dir, *extra_directories)
    )


def essentials(report: dict[str, Any], truth: dict[str, Any], rules: list[str]) -> dict[str, Any]:
    """A report in a line of the golden matrix: the verdict, and what each rule came to.

    Where the truth names no faulting function, it is another in each crash.
    """
    verdict = report["verdict"]
    faulting = verdict["faulting_function"] if truth["faulting_function"] else None
    culprit = verdict["culprit"] or {"module": None, "function": None}
    found = sorted(finding["rule"] for finding in report["findings"])
    undecided = sorted(item["rule"] for item in report["undecided"])
    return {
        "verdict": [*(verdict[key] for key in ("kind", "cause", "certainty")), faulting],
        "culprit": [culprit["module"], culprit["function"]],
        "found": found,
        "clear": sorted(set(rules) - set(found) - set(undecided)),
        "undecided": undecided,
    }


def recorded(path: Path) -> dict[str, Any]:
    """What a golden file holds, by case."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def record(path: Path, key: str, value: Any) -> None:
    """Write the entry of one case; None removes it."""
    entries = {**recorded(path), key: value}
    lines = [
        f"  {json.dumps(name)}: {json.dumps(entry)}"
        for name, entry in sorted(entries.items())
        if entry is not None
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def analysed(session: Session) -> dict[str, Any]:
    """The report as its readers get it: through JSON."""
    from oopsight.evidence import Evidence

    report: dict[str, Any] = json.loads(json.dumps(build(Evidence(session))))
    return report

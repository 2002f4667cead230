"""Evidence of real dumps, written down and read again, gives the same report."""

from __future__ import annotations

import json

from lab_dumps import Subject

from corpus import RECORDINGS, golden, write_recording
from oopsight.evidence import Evidence
from oopsight.evidence.recording import record, restore
from oopsight.report import build


def test_recorded_evidence_gives_the_same_report(subject: Subject, update: bool) -> None:
    evidence = Evidence(subject.session)
    report = json.loads(json.dumps(build(evidence)))
    recording = json.loads(json.dumps(record(evidence)))
    again = restore(recording)
    assert again.facts == evidence.facts
    assert golden(json.loads(json.dumps(build(again)))) == golden(report)
    scenario, kernel, capture = subject.case
    path = RECORDINGS / f"{scenario}.json"
    if update and path.exists() and (kernel, capture) == ("6.1", "qmp"):
        write_recording(path, recording)

from __future__ import annotations

from dataclasses import replace

from handmade_facts import backtrace, evidence, fault

from oopsight.diagnosis import Certainty
from oopsight.diagnosis.unknown import unknown
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.crash.symptom import Symptom
from oopsight.kinds import Kind


def test_it_says_how_far_the_analysis_came_and_whom_it_suspects() -> None:
    trace = backtrace(memcpy=Role.FAULT, driver_read=Role.CALLER, vfs_read=Role.CALLER)
    frames = (replace(trace.frames[0], plumbing="copies"), *trace.frames[1:])
    finding = unknown(evidence(trace=replace(trace, frames=frames), fault=fault(0x5000)))
    assert finding.certainty is Certainty.UNKNOWN
    assert finding.culprits[0].function == "driver_read"
    assert "0x5000" in finding.chain[0].claim
    assert all(step.because for step in finding.chain)


def test_with_nothing_at_all_it_blames_nobody() -> None:
    finding = unknown(evidence())
    assert (finding.chain, finding.culprits) == ((), ())


def test_a_machine_that_is_well_has_not_crashed() -> None:
    known = evidence()
    known.facts[Symptom] = Symptom(Kind.NOT_A_CRASH, "no crash", "tasks", None, None)
    finding = unknown(known)
    assert (finding.title, finding.kind, finding.culprits) == ("no crash", Kind.NOT_A_CRASH, ())
    assert "stopped from outside" in finding.summary

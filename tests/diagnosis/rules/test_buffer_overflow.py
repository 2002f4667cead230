from __future__ import annotations

from dataclasses import replace
from typing import Any

from handmade_facts import ABSENT, backtrace, flow_step, way

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.buffer_overflow import buffer_overflow
from oopsight.evidence.corruption.bounds_length import BoundsLength
from oopsight.evidence.corruption.bounds_report import BoundsReport
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.pointers import LogPointer

REPORT = BoundsReport(
    checker="FORTIFY_SOURCE",
    text=LogPointer(7.0, "memcpy: detected buffer overflow: 80 byte write of buffer size 32"),
    by="memcpy",
    access="write",
    size=80,
    room=32,
    what=None,
    place=None,
)


BROUGHT = flow_step("passed", "vfs_write", 80, None)
LENGTH = BoundsLength("beacon", "bcn_set", way(BROUGHT), None)


def trace() -> Backtrace:
    made = backtrace(fortify_panic=Role.FAULT, bcn_set=Role.CALLER, bcn_write=Role.CALLER)
    frames = [
        replace(made.frames[0], plumbing="checks memory accesses for all code"),
        *(replace(frame, module="beacon") for frame in made.frames[1:]),
    ]
    return replace(made, frames=tuple(frames))


def decided(report: Any, made: Backtrace, length: Any = LENGTH) -> Any:
    return buffer_overflow(report, made, length, ABSENT)


def test_whoever_called_the_checked_function_is_blamed() -> None:
    answer = decided(REPORT, trace())
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "bcn_set"
    assert answer.certainty is Certainty.INFERRED
    assert "80 bytes were to be written to a buffer, which has 32" in answer.summary


def test_what_the_kernel_did_for_a_module_may_be_its_own_mistake() -> None:
    made = trace()
    path = (made.frames[0], replace(made.frames[1], module=None), made.frames[2])
    answer = decided(REPORT, replace(made, frames=path))
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "bcn_write"
    assert answer.certainty is Certainty.POSSIBLE


def test_memory_in_which_a_string_has_no_end_may_be_somebody_elses() -> None:
    answer = decided(replace(REPORT, by="strlen", access="read"), trace())
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE


def test_nobody_on_the_stack_leaves_it_open() -> None:
    made = trace()
    assert isinstance(decided(REPORT, replace(made, frames=made.frames[:1])), Undecided)


def test_without_such_a_report_it_is_clear() -> None:
    assert isinstance(decided(ABSENT, trace()), Clear)


def test_a_length_that_others_had_leaves_open_who_is_to_blame() -> None:
    read = way(flow_step("loaded", "bcn_set", 80, "beacon"), name="struct beacon.room")
    kept = replace(LENGTH, way=read)
    for length in (kept, ABSENT):
        answer = decided(REPORT, trace(), length)
        assert answer.culprits[0].function == "bcn_set"
        assert (answer.certainty, answer.cause_certainty) == (
            Certainty.POSSIBLE,
            Certainty.INFERRED,
        )
    state = StateWriters("beacon", read, ("bcn_resize",))
    answer = decided(REPORT, trace(), replace(kept, state=state))
    assert [one.function for one in answer.culprits[:2]] == ["bcn_resize", "bcn_set"]
    assert answer.certainty is Certainty.POSSIBLE


def test_who_makes_what_has_the_length_comes_before_who_went_by_it() -> None:
    read = way(flow_step("loaded", "bcn_set", 80, "beacon"), name="beacon.length", ended="loaded")
    state = StateWriters("beacon", read, (), makers=("bcn_make",))
    answer = decided(REPORT, trace(), BoundsLength("beacon", "bcn_set", read, state))
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits[:2]] == ["bcn_make", "bcn_set"]

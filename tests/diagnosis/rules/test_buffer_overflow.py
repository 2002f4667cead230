from __future__ import annotations

from dataclasses import replace

from handmade_facts import ABSENT, backtrace

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.buffer_overflow import buffer_overflow
from oopsight.evidence.corruption.bounds_report import BoundsReport
from oopsight.evidence.crash.backtrace import Backtrace, Role
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


def trace() -> Backtrace:
    made = backtrace(fortify_panic=Role.FAULT, bcn_set=Role.CALLER, bcn_write=Role.CALLER)
    frames = [
        replace(made.frames[0], plumbing="checks memory accesses for all code"),
        *(replace(frame, module="beacon") for frame in made.frames[1:]),
    ]
    return replace(made, frames=tuple(frames))


def test_whoever_called_the_checked_function_is_blamed() -> None:
    answer = buffer_overflow(REPORT, trace())
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "bcn_set"
    assert answer.certainty is Certainty.INFERRED
    assert "80 bytes were to be written to a buffer, which has 32" in answer.summary


def test_what_the_kernel_did_for_a_module_may_be_its_own_mistake() -> None:
    made = trace()
    path = (made.frames[0], replace(made.frames[1], module=None), made.frames[2])
    answer = buffer_overflow(REPORT, replace(made, frames=path))
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "bcn_write"
    assert answer.certainty is Certainty.POSSIBLE


def test_memory_in_which_a_string_has_no_end_may_be_somebody_elses() -> None:
    answer = buffer_overflow(replace(REPORT, by="strlen", access="read"), trace())
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE


def test_nobody_on_the_stack_leaves_it_open() -> None:
    made = trace()
    assert isinstance(buffer_overflow(REPORT, replace(made, frames=made.frames[:1])), Undecided)


def test_without_such_a_report_it_is_clear() -> None:
    assert isinstance(buffer_overflow(ABSENT, trace()), Clear)

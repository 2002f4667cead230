"""Who called panic()."""

from __future__ import annotations

from dataclasses import replace

from handmade_facts import ABSENT, backtrace, log
from handmade_waits import symptom

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.panic_called import panic_called
from oopsight.evidence.crash.backtrace import Role
from oopsight.kinds import Kind

OTHER = symptom(Kind.PANIC_OTHER)
CALLED = backtrace(
    interrupted=False,
    panic=Role.PANIC_PATH,
    fence=Role.CALLER,
    beat=Role.CALLER,
)
DRIVER = replace(
    CALLED, frames=(CALLED.frames[0], *(replace(f, module="hb") for f in CALLED.frames[1:]))
)


def test_a_module_that_calls_it_means_to() -> None:
    found = panic_called(OTHER, DRIVER, log("Kernel panic - not syncing: fencing this node"))
    assert isinstance(found, Finding)
    assert found.title.endswith("called panic(): fencing this node")
    assert [c.function for c in found.culprits] == ["fence", "beat"]
    # Which of the two meant to is open.
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.SHOWN)
    found = panic_called(OTHER, replace(DRIVER, frames=DRIVER.frames[:2]), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.SHOWN


def test_a_module_is_only_possible_where_the_kernels_own_code_panicked_below_it() -> None:
    panic, fence, beat = DRIVER.frames
    between = replace(fence, function="kfree", module=None, plumbing="serves all")
    trace = replace(DRIVER, frames=(panic, replace(between, index=1), replace(beat, index=2)))
    found = panic_called(OTHER, trace, ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    assert [c.function for c in found.culprits] == ["beat"]


def test_the_kernels_own_caller_is_only_possible() -> None:
    found = panic_called(OTHER, CALLED, ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_clear() -> None:
    known = backtrace(interrupted=False, panic=Role.PANIC_PATH, do_exit=Role.CALLER)
    plumbing = replace(
        CALLED, frames=tuple(replace(f, plumbing="serves all") for f in CALLED.frames)
    )
    unnamed = replace(CALLED, frames=CALLED.frames[1:])
    for trace in (known, plumbing, unnamed, backtrace()):
        assert isinstance(panic_called(OTHER, trace, ABSENT), Clear)
    assert isinstance(panic_called(symptom(Kind.HUNG_TASK), CALLED, ABSENT), Clear)

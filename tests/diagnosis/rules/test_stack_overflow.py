"""Recursion, and frames that are too large."""

from __future__ import annotations

from dataclasses import replace

from handmade_facts import backtrace, frame
from handmade_waits import symptom

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.stack_overflow import stack_overflow
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.kinds import Kind

HIT = symptom(Kind.STACK_OVERFLOW, "BUG: TASK stack guard page was hit at 000000004a496db6")


def stack(*rows: tuple[str, str | None, int]) -> Backtrace:
    """Frames by function, module and size."""
    sp, frames = 0xFFFFC90000000000, []
    for index, (name, module, size) in enumerate(rows):
        role = Role.CALLER if index else Role.FAULT
        frames.append(replace(frame(index, name, role, module), sp=Address(sp)))
        sp += size
    return replace(backtrace(), frames=tuple(frames), exception="double_fault")


def test_a_circle_of_calls_is_found_with_its_size() -> None:
    rows = [("eval", "drv", 16), ("child", "drv", 88)] * 6
    found = stack_overflow(HIT, stack(("number", None, 64), *rows, ("write", "drv", 64)))
    assert isinstance(found, Finding)
    assert found.cause_certainty is Certainty.SHOWN
    # Another may have made the ring that they went round.
    assert found.certainty is Certainty.POSSIBLE
    assert {c.function for c in found.culprits} == {"eval", "child"}
    assert "104 bytes each time" in found.summary
    assert "6 times" in found.chain[-1].claim


def test_a_function_that_calls_itself() -> None:
    found = stack_overflow(HIT, stack(*[("walk", "drv", 96)] * 5, ("write", "drv", 64)))
    assert isinstance(found, Finding)
    assert found.title == "stack overflow: walk [drv] without end"
    assert "96 bytes each time" in found.summary


def test_without_a_circle_the_largest_frame_is_named() -> None:
    found = stack_overflow(
        HIT, stack(("memset", None, 32), ("parse", "drv", 9000), ("write", "drv", 64))
    )
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert found.culprits[0].function == "parse"


def test_clear_and_undecided() -> None:
    assert isinstance(stack_overflow(symptom(Kind.BUG), backtrace()), Clear)
    plain = stack(("f", "drv", 32), ("g", "drv", 32))
    assert isinstance(stack_overflow(symptom(Kind.DOUBLE_FAULT), plain), Clear)
    assert isinstance(stack_overflow(replace(HIT, headline=None), plain), Undecided)
    told = stack_overflow(HIT, plain)
    assert isinstance(told, Finding)
    assert told.certainty is Certainty.POSSIBLE

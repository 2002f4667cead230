"""Recursion, and frames that are too large."""

from __future__ import annotations

from dataclasses import replace

from handmade_facts import ABSENT, backtrace, frame
from handmade_waits import symptom

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.stack_overflow import stack_overflow
from oopsight.evidence import Address, Missing
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.crash.ring_of_calls import RingOfCalls
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.pointers import BytesPointer, ModulePointer
from oopsight.kinds import Kind

HIT = symptom(Kind.STACK_OVERFLOW, "BUG: TASK stack guard page was hit at 000000004a496db6")


def overflow(
    hit: Symptom, found: Backtrace, ring: RingOfCalls | Missing = ABSENT
) -> Finding | Clear | Undecided:
    return stack_overflow(hit, found, ring)


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
    found = overflow(HIT, stack(("number", None, 64), *rows, ("write", "drv", 64)))
    assert isinstance(found, Finding)
    assert found.cause_certainty is Certainty.SHOWN
    # Another may have made the ring that they went round.
    assert found.certainty is Certainty.POSSIBLE
    assert {c.function for c in found.culprits} == {"eval", "child"}
    assert "104 bytes each time" in found.summary
    assert "6 times" in found.chain[-1].claim


def test_a_function_that_calls_itself() -> None:
    found = overflow(HIT, stack(*[("walk", "drv", 96)] * 5, ("write", "drv", 64)))
    assert isinstance(found, Finding)
    assert found.title == "stack overflow: walk [drv] without end"
    assert "96 bytes each time" in found.summary


def test_without_a_circle_the_largest_frame_is_named() -> None:
    found = overflow(HIT, stack(("memset", None, 32), ("parse", "drv", 9000), ("write", "drv", 64)))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert found.culprits[0].function == "parse"


def test_clear_and_undecided() -> None:
    assert isinstance(overflow(symptom(Kind.BUG), backtrace()), Clear)
    plain = stack(("f", "drv", 32), ("g", "drv", 32))
    assert isinstance(overflow(symptom(Kind.DOUBLE_FAULT), plain), Clear)
    assert isinstance(overflow(replace(HIT, headline=None), plain), Undecided)
    told = overflow(HIT, plain)
    assert isinstance(told, Finding)
    assert told.certainty is Certainty.POSSIBLE


def test_who_can_have_closed_the_ring_comes_before_who_went_round_it() -> None:
    link = BytesPointer(Address(0xFFFF888000001008), "4010000080888ffff")
    ring = RingOfCalls(ModulePointer("drv", True, Address(1)), 3, (link,), ("set_parent",))
    found = overflow(HIT, stack(*[("rate", "drv", 24)] * 6, ("write", "drv", 64)), ring)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["set_parent", "rate"]
    assert "went round 3 objects that lead to each other in a ring; in drv, set_parent()" in (
        found.chain[-1].claim
    )
    assert found.certainty is Certainty.POSSIBLE
    # Who compares nothing may have meant it.
    meant = replace(ring, makers=(), others=("link",))
    found = overflow(HIT, stack(*[("rate", "drv", 24)] * 6), meant)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["rate", "link"]
    alone = overflow(HIT, stack(*[("rate", "drv", 24)] * 6), replace(ring, entries=1, makers=()))
    assert isinstance(alone, Finding)
    assert alone.chain[-1].claim == "rate [drv] went round an object that leads to itself"


def test_who_was_called_back_comes_before_what_it_called_by_its_name() -> None:
    rows = [("set", "bus", 40), ("event", "stage", 48)] * 6
    found = stack(*rows, ("write", "bus", 64))
    frames = [replace(one, calls_by_name=one.module == "stage") for one in found.frames]
    told = overflow(HIT, replace(found, frames=tuple(frames)))
    assert isinstance(told, Finding)
    assert [c.function for c in told.culprits] == ["event", "set"]
    # Through pointers alone nobody asks the other.
    told = overflow(HIT, found)
    assert isinstance(told, Finding)
    assert told.culprits[0].function == "set"


def test_a_large_frame_among_others_is_only_possible() -> None:
    found = overflow(HIT, stack(("memset", None, 32), ("parse", "drv", 3000), ("w", "drv", 64)))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE

"""A division by zero, and one whose quotient does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from handmade_facts import ABSENT, backtrace, fault, flow_step, way

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.divide_error import divide_error
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.checked_value import CheckedValue
from oopsight.evidence.modules.state_writers import StateWriters

TRACE = backtrace(rate=Role.FAULT, tick=Role.CALLER)
ERROR = fault(None, exception="divide_error", instruction="div ecx", function="rate")


ONE = replace(TRACE, frames=TRACE.frames[:1])


def divided(
    instruction: str, made: Backtrace = TRACE, checked: Any = ABSENT, **registers: int
) -> Finding | Clear | Undecided:
    values = tuple((name, Address(value)) for name, value in registers.items())
    trace = replace(made, registers=values, exception="divide_error")
    error = replace(ERROR, instruction=instruction)
    return divide_error(error, trace, checked, ABSENT, ABSENT)


@pytest.mark.parametrize(
    ("instruction", "registers"),
    [
        ("div ecx", {"rcx": 0xFFFFFFFF00000000}),
        ("div rsi", {"rsi": 0}),
        ("idiv r8d", {"r8": 0}),
        ("idiv cx", {"rcx": 0x10000}),
    ],
)
def test_the_divisor_is_shown_in_its_width(instruction: str, registers: dict[str, int]) -> None:
    found = divided(instruction, **registers)
    assert isinstance(found, Finding)
    assert found.cause_certainty is Certainty.SHOWN
    assert "= 0" in found.chain[0].claim
    assert [c.function for c in found.culprits] == ["rate", "tick"]


@pytest.mark.parametrize("instruction", ["div rsi", "div dword ptr [rdi]"])
def test_a_divisor_that_is_not_zero_or_not_known_is_not_called_zero(instruction: str) -> None:
    found = divided(instruction, rsi=7)
    assert isinstance(found, Finding)
    assert found.cause_certainty is Certainty.INFERRED
    assert "by zero." not in found.summary


def test_clear_and_undecided() -> None:
    page: Fault = fault()
    assert isinstance(divide_error(page, TRACE, ABSENT, ABSENT, ABSENT), Clear)


def test_who_writes_the_divisor_comes_before_who_divides() -> None:
    step = flow_step("loaded", "shape_per_second", 0, "shaper")
    writers = StateWriters("shaper", way(step, name="struct shaper.rate"), ("shape_set_rate",))
    error = replace(ERROR, instruction="div ecx")
    frames = tuple(replace(one, module="shaper") for one in TRACE.frames)
    trace = replace(TRACE, frames=frames, registers=(("rcx", Address(0)),))
    answer = divide_error(error, trace, ABSENT, writers, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "shape_set_rate"
    assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, Certainty.SHOWN)
    # Where others set zero on purpose, who divides has to look out for it.
    answer = divide_error(error, trace, ABSENT, replace(writers, zeroes=True), ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "rate"
    # So it is where two numbers need only be equal.
    span = CheckedValue((writers.way,), alone=True, difference=True)
    answer = divide_error(error, trace, span, writers, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "rate"
    # What another module writes has nothing to do with this one.
    other = divide_error(error, trace, ABSENT, replace(writers, module="other"), ABSENT)
    assert isinstance(other, Finding)
    assert other.culprits[0].function == "rate"


def test_who_is_to_blame_is_shown_only_where_nobody_else_had_the_divisor() -> None:
    kept = CheckedValue((way(flow_step("loaded", "rate", 0, "shaper")),), alone=True)
    for trace, checked, certainty in (
        (ONE, ABSENT, Certainty.SHOWN),
        (ONE, kept, Certainty.POSSIBLE),
        (TRACE, ABSENT, Certainty.POSSIBLE),
    ):
        found = divided("div ecx", trace, checked, rcx=0)
        assert isinstance(found, Finding)
        assert found.certainty is certainty

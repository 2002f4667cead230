"""A division by zero, and one whose quotient does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import backtrace, fault

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.divide_error import divide_error
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.crash.fault import Fault

TRACE = backtrace(rate=Role.FAULT, tick=Role.CALLER)
ERROR = fault(None, exception="divide_error", instruction="div ecx", function="rate")


def divided(instruction: str, **registers: int) -> Finding | Clear | Undecided:
    values = tuple((name, Address(value)) for name, value in registers.items())
    trace = replace(TRACE, registers=values, exception="divide_error")
    return divide_error(replace(ERROR, instruction=instruction), trace)


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
    assert found.certainty is Certainty.SHOWN
    assert "= 0" in found.chain[0].claim
    assert [c.function for c in found.culprits] == ["rate", "tick"]


@pytest.mark.parametrize("instruction", ["div rsi", "div dword ptr [rdi]"])
def test_a_divisor_that_is_not_zero_or_not_known_is_not_called_zero(instruction: str) -> None:
    found = divided(instruction, rsi=7)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert "by zero." not in found.summary


def test_clear_and_undecided() -> None:
    page: Fault = fault()
    assert isinstance(divide_error(page, TRACE), Clear)

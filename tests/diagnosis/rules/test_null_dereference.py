"""A NULL pointer was followed, and the cases that only look like it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import ABSENT, backtrace, fault, module, modules

from oopsight.diagnosis import Certainty, Clear, Depth, Finding
from oopsight.diagnosis.rules.null_dereference import null_dereference
from oopsight.evidence import Address
from oopsight.evidence.fault import Fault, Operand
from oopsight.kinds import Kind


def test_found_with_every_step_pointing_into_the_dump() -> None:
    found = null_dereference(fault(), backtrace(), ABSENT)
    assert isinstance(found, Finding)
    assert (found.kind, found.certainty) == (Kind.NULL_DEREF, Certainty.SHOWN)
    assert found.depth is Depth.MECHANISM
    assert found.culprits[0].function == "f"
    assert "offset 0x38 (56)" in found.summary
    assert all(step.because for step in found.chain)


def test_the_module_of_the_code_is_named() -> None:
    driver = module("drv", 0xFFFFFFFF81000000, 0xFFFFFFFF81001000)
    found = null_dereference(fault(module="drv"), backtrace(), modules(driver))
    assert isinstance(found, Finding)
    assert found.culprits[0].module == "drv"
    assert driver.pointer in found.chain[-1].because


OPERAND = Operand("rdi", Address(0), None, 0x38, Address(0x38))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (fault(exception="general_protection"), "not a page fault"),
        (fault(None), "not a page fault"),
        (fault(4096), "not within the first page"),
        (fault(access="execute"), "function pointer was NULL"),
        (fault(operand=None), "does not hold zero"),
        (fault(operand=replace(OPERAND, base_value=Address(8))), "does not hold zero"),
        (fault(operand=replace(OPERAND, base=None)), "does not hold zero"),
        (fault(operand=replace(OPERAND, index="rcx", address=None)), "does not come to"),
        (fault(0x40), "does not come to"),
    ],
)
def test_clear(given: Fault, why: str) -> None:
    answer = null_dereference(given, backtrace(), ABSENT)
    assert isinstance(answer, Clear)
    assert why in answer.why


def test_the_last_byte_of_the_first_page_counts() -> None:
    given = fault(4095, operand=Operand("rdi", Address(0), None, 4095, Address(4095)))
    assert isinstance(null_dereference(given, backtrace(), ABSENT), Finding)

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from handmade_facts import data_flow, flow_step, way

from oopsight.diagnosis import Clear, Finding
from oopsight.diagnosis.rules.null_dereference import null_dereference
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.backtrace import Backtrace, Frame, Role
from oopsight.evidence.fault import Fault, Operand
from oopsight.evidence.pointers import FramePointer, Unmapped

NONE = Missing(Why.NOT_APPLICABLE, "not looked at")
NULL_BASE = Operand("rdi", Address(0), None, 0x38, Address(0x38))
FAULT = Fault(
    exception="page_fault",
    address=Address(0x38),
    access="read",
    pc=Address(0xFFFFFFFFC0400007),
    function="set_rate",
    module="gamma",
    instruction="cmp dword ptr [rdi + 0x38], esi",
    code="397738",
    operand=NULL_BASE,
    unmapped=Unmapped(Address(0x38)),
    frame=FramePointer(0, Address(0xFFFFFFFFC0400007), "set_rate"),
)
FRAME = Frame(
    0,
    Address(0xFFFFFFFFC0400007),
    Address(0),
    "set_rate",
    "set_rate+0x7",
    "gamma",
    None,
    inline=False,
    role=Role.FAULT,
)
TRACE = Backtrace((FRAME,), (("rdi", Address(0)),), interrupted=True, exception="page_fault")


def test_a_zero_base_register_is_a_null_pointer() -> None:
    finding = null_dereference(FAULT, TRACE, NONE, NONE)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].module == "gamma"
    assert finding.culprits[0].function == "set_rate"
    assert "0x38" in finding.summary


@pytest.mark.parametrize(
    "change",
    [
        {"exception": "general_protection"},
        {"address": Address(0x5000)},
        {"access": "execute"},
        {"operand": None},
        {"operand": dataclasses.replace(NULL_BASE, base_value=Address(8), address=Address(0x40))},
        {"operand": dataclasses.replace(NULL_BASE, address=None)},
        {"operand": dataclasses.replace(NULL_BASE, address=Address(0x40))},
    ],
)
def test_anything_else_is_not(change: dict[str, Any]) -> None:
    made = dataclasses.replace(FAULT, **change)
    assert isinstance(null_dereference(made, TRACE, NONE, NONE), Clear)


def test_data_flow_tells_who_brought_the_zero_in() -> None:
    loaded = flow_step("loaded", "find_gamma", value=0)
    flow = data_flow(way(flow_step("passed", "find_gamma", value=0), loaded, name="gamma_current"))
    finding = null_dereference(FAULT, TRACE, flow, NONE)
    assert isinstance(finding, Finding)
    assert [c.function for c in finding.culprits] == ["find_gamma", "set_rate"]
    assert "gamma_current" in finding.summary
    assert all(step.because for step in finding.chain)


def test_container_of_null_lies_below_zero() -> None:
    flow = data_flow(
        way(flow_step("computed", "f", value=-8), flow_step("loaded", "f", value=0), name="head")
    )
    base = Operand("rdi", Address((1 << 64) - 8), None, 0, Address((1 << 64) - 8))
    fault = dataclasses.replace(FAULT, address=Address((1 << 64) - 8), operand=base)
    assert isinstance(null_dereference(fault, TRACE, flow, NONE), Finding)
    # Without the flow it may as well be an error code.
    assert isinstance(null_dereference(fault, TRACE, NONE, NONE), Clear)


def test_a_pointer_that_was_not_zero_at_its_origin_is_not_null() -> None:
    flow = data_flow(way(flow_step("returned", "f", value=-2), returned_by="filp_open"))
    assert isinstance(null_dereference(FAULT, TRACE, flow, NONE), Clear)

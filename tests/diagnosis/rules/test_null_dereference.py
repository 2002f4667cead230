from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from oopsight.diagnosis import Clear, Finding
from oopsight.diagnosis.rules.null_dereference import null_dereference
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.backtrace import Backtrace
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
TRACE = Backtrace((), (("rdi", Address(0)),), interrupted=True, exception="page_fault")


def test_a_zero_base_register_is_a_null_pointer() -> None:
    finding = null_dereference(FAULT, TRACE, NONE)
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
    assert isinstance(null_dereference(dataclasses.replace(FAULT, **change), TRACE, NONE), Clear)

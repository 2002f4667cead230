"""Whose canary was changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from handmade_facts import ABSENT, backtrace, data_flow, fault, flow_step, owner, way
from handmade_waits import symptom

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.stack_corruption import stack_corruption
from oopsight.evidence import Address
from oopsight.evidence.corruption.bad_return import BadReturn, Returner
from oopsight.evidence.corruption.frame_fillers import Filler, FrameFillers, HandedOn, Receiver
from oopsight.evidence.corruption.stack_overrun import StackOverrun
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.pointers import BytesPointer, InstructionPointer
from oopsight.kinds import Kind

NOTHING = (ABSENT, ABSENT, ABSENT)

SMASHED = symptom(Kind.STACK_CORRUPTION, "stack-protector: Kernel stack is corrupted in: set")
TRACE = backtrace(
    interrupted=False,
    panic=Role.PANIC_PATH,
    __stack_chk_fail=Role.CALLER,
    set=Role.CALLER,
    beyond=Role.USER,
)


def test_the_function_whose_frame_is_damaged_and_what_was_written() -> None:
    text = Address(int.from_bytes(b"EFORE-20", "little"))
    frames = (*TRACE.frames[:3], replace(TRACE.frames[3], pc=text))
    found = stack_corruption(
        SMASHED, replace(TRACE, frames=frames), *NOTHING, ABSENT, ABSENT, ABSENT
    )
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["set"]
    assert "'EFORE-20'" in found.chain[1].claim


def filled_by(
    *fillers: Filler, itself: bool = False, fills: bool = False, handed_on: Any = ()
) -> Finding:
    made = FrameFillers("mod", "set", fillers, itself, fills=fills, handed_on=handed_on)
    found = stack_corruption(SMASHED, TRACE, *NOTHING, ABSENT, ABSENT, made)
    assert isinstance(found, Finding)
    return found


def test_who_was_handed_the_buffer_may_have_gone_too_far() -> None:
    put = Filler("put", "mod", room=24, most=None, limited=True)
    found = filled_by(put)
    assert [c.function for c in found.culprits] == ["set", "put"]
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    # Told of 24 bytes, it wrote more.
    assert filled_by(replace(put, most=24)).culprits[0].function == "put"
    # Told of more than there are.
    assert filled_by(replace(put, most=64)).culprits[0].function == "set"
    # It copies a text to its end, as strcpy() does: either may be meant to look at the length.
    for itself, names in ((False, ["put", "set"]), (True, ["set", "put"])):
        found = filled_by(replace(put, limited=False), itself=itself)
        assert [c.function for c in found.culprits] == names
        assert found.certainty is Certainty.POSSIBLE
        assert found.cause_certainty is Certainty.INFERRED
    assert filled_by(fills=True).certainty is Certainty.INFERRED
    # Where it is not seen how it was written, somebody else may have.
    assert filled_by().certainty is Certainty.POSSIBLE


@pytest.mark.parametrize(
    ("fills", "names"),
    [(False, ["parse", "take_text", "set"]), (True, ["set", "parse", "take_text"])],
)
def test_who_hands_the_buffer_on_comes_before_whose_it_is(fills: bool, names: list[str]) -> None:
    take = Filler("take_text", "mod", room=16, most=None, limited=True)
    found = filled_by(fills=fills, itself=True, handed_on=(HandedOn("parse", (take,)),))
    assert [one.function for one in found.culprits] == names
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)


def test_one_that_was_told_a_limit_that_fits_comes_before_who_told_it() -> None:
    take = Filler("take_text", "mod", room=16, most=16, limited=True, passed_by=True)
    found = filled_by(itself=True, handed_on=(HandedOn("parse", (take,)),))
    assert [one.function for one in found.culprits] == ["take_text", "parse", "set"]
    assert found.certainty is Certainty.POSSIBLE


def test_a_limit_that_is_not_always_looked_at_tells_who_it_was() -> None:
    put = Filler("put", "mod", room=24, most=23, limited=True, passed_by=True)
    found = filled_by(put)
    assert (found.culprits[0].function, found.certainty) == ("put", Certainty.INFERRED)
    assert filled_by(put, replace(put, function="add")).certainty is Certainty.POSSIBLE
    assert filled_by(replace(put, most=64)).certainty is Certainty.POSSIBLE
    assert filled_by(put, itself=True).certainty is Certainty.POSSIBLE


CALL = InstructionPointer(Address(0xFFFFFFFFC0400010), "e8df0f0000", "call 0xffffffffc0401000")


@pytest.mark.parametrize(
    ("receiver", "fills", "names"),
    [
        (Receiver("i2c_transfer", None, (), CALL), False, ["set"]),
        (Receiver(None, None, (), CALL), False, ["set"]),
        (Receiver("bus_read", "bus", ("bus_fifo", "bus_read"), CALL), False, ["bus_fifo"]),
        (Receiver("bus_read", "bus", ("bus_fifo", "bus_read"), CALL), True, ["set", "bus_fifo"]),
    ],
)
def test_who_was_lent_the_frame_outside_may_have_written(
    receiver: Receiver, fills: bool, names: list[str]
) -> None:
    made = FrameFillers("mod", "set", (), receivers=(receiver,), fills=fills)
    found = stack_corruption(SMASHED, TRACE, *NOTHING, ABSENT, ABSENT, made)
    assert isinstance(found, Finding)
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    assert [c.function for c in found.culprits][: len(names)] == names
    assert CALL in found.chain[-1].because


def test_clear_and_undecided() -> None:
    assert isinstance(
        stack_corruption(symptom(Kind.BUG), TRACE, *NOTHING, ABSENT, ABSENT, ABSENT), Clear
    )
    assert isinstance(
        stack_corruption(SMASHED, backtrace(), *NOTHING, ABSENT, ABSENT, ABSENT), Undecided
    )
    short = replace(TRACE, frames=TRACE.frames[:2])
    assert isinstance(stack_corruption(SMASHED, short, *NOTHING, ABSENT, ABSENT, ABSENT), Undecided)


def test_a_pointer_that_a_text_on_the_stack_ran_over() -> None:
    at = Address(0xFFFFC90000043CD0)
    text = BytesPointer(Address(at - 16), b"manufacturer-specific-ext".hex())
    overrun = StackOverrun(at, Address(at - 16), "manufacturer", "tlv_parse", "tlv", text)
    value = 0x78652D6369666963
    path = backtrace(tlv_store=Role.FAULT, tlv_parse=Role.CALLER)
    flow = data_flow(
        way(flow_step("lost", "tlv_parse", value, "tlv")), bad=owner(value, "non-canonical")
    )
    met = fault(None, exception="general_protection")
    found = stack_corruption(
        symptom(Kind.GENERAL_PROTECTION), path, met, flow, overrun, ABSENT, ABSENT, ABSENT
    )
    assert isinstance(found, Finding)
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    assert (found.culprits[0].module, found.culprits[0].function) == ("tlv", "tlv_parse")
    assert "wild_pointer" in found.refines
    unknown = replace(overrun, function=None, module=None)
    found = stack_corruption(
        symptom(Kind.GENERAL_PROTECTION), path, met, flow, unknown, ABSENT, ABSENT, ABSENT
    )
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_a_return_to_where_no_code_is() -> None:
    went = fault(0x43340000, pc=Address(0x43340000), access="execute", code=None, instruction=None)
    top = BytesPointer(Address(0xFFFFC90000003B30), "0000344300000000")
    ways = (
        Returner("hist", "hist_collect", "hist_write", seen=True),
        Returner("hist", "hist_clear", "hist_open", seen=False),
    )
    found = stack_corruption(
        symptom(Kind.PAGE_FAULT),
        backtrace(f=Role.FAULT),
        went,
        ABSENT,
        ABSENT,
        BadReturn(top, ways),
        ABSENT,
        ABSENT,
    )
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["hist_collect", "hist_clear"]
    assert found.certainty is Certainty.POSSIBLE
    assert all(step.because for step in found.chain)
    assert "hist_write" in found.culprits[0].why

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import ABSENT, data_flow, fault, flow_step, owner, way

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.bit_flip import bit_flip
from oopsight.evidence import Address
from oopsight.evidence.corruption.bit_flip import BitFlip, one_bit
from oopsight.evidence.corruption.flipped_call import FlippedCall
from oopsight.evidence.corruption.stray_stores import StrayStore, StrayStores
from oopsight.evidence.pointers import BytesPointer, ModulePointer

VALUE = Address(0xFFF7888003400000)
RIGHT = owner(0xFFFF888003400000, "slab")
MEMORY = (BytesPointer(Address(0xFFFF888003400100), "00" * 8),)
FLOW = data_flow(way(flow_step("loaded", "walk", VALUE), name="struct node.next"))


@pytest.mark.parametrize(
    ("reason", "certainty"),
    [
        ("memory", Certainty.INFERRED),
        ("siblings", Certainty.INFERRED),
        ("back-pointer", Certainty.INFERRED),
        ("only", Certainty.POSSIBLE),
    ],
)
def test_what_speaks_for_it_decides_how_sure_it_is(reason: str, certainty: Certainty) -> None:
    flip = BitFlip(VALUE, 51, RIGHT, reason, "by hand", MEMORY)
    answer = bit_flip(fault(None), FLOW, flip, ABSENT, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.certainty is certainty
    assert "struct node.next" in answer.summary
    assert answer.culprits[0].module is None


def test_code_that_turns_bits_there_may_have_done_it() -> None:
    flip = BitFlip(VALUE, 51, RIGHT, "memory", "by hand", MEMORY)
    pointer = ModulePointer("lockers", loaded=True, base=Address(0xFFFFFFFFC0000000))
    store = StrayStore("lockers_back", 256, None, None, bits=True)
    for bits in (True, False):
        strays = StrayStores(pointer, None, (replace(store, bits=bits),))
        answer = bit_flip(fault(None), FLOW, flip, ABSENT, strays)
        assert isinstance(answer, Clear if bits else Finding)


def test_without_a_bit_it_is_clear() -> None:
    assert isinstance(bit_flip(fault(None), FLOW, ABSENT, ABSENT, ABSENT), Clear)


def test_one_bit() -> None:
    assert one_bit(VALUE, RIGHT.address) == 51
    assert one_bit(VALUE, VALUE) is None
    assert one_bit(0, 3) is None


def test_a_call_that_names_its_function_and_leads_nowhere() -> None:
    at = Address(0xFFFFFFFF81000100)
    call = FlippedCall(
        BytesPointer(at, "e8001000f0"), "show", Address(0xFFFFFFFF71001105), ((28, "helper"),)
    )
    found = bit_flip(fault(None), ABSENT, ABSENT, call, ABSENT)
    assert isinstance(found, Finding)
    assert "helper (bit 28)" in found.summary
    assert found.certainty is Certainty.INFERRED
    assert found.culprits[0].module is None
    unknown = FlippedCall(call.code, "show", call.target, ())
    assert not isinstance(bit_flip(fault(None), ABSENT, ABSENT, unknown, ABSENT), Finding)

"""The index by which a bad pointer was chosen, on code assembled by hand."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import OBJECT, STACK, TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.flow import follower, table_index
from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.flow.follower import Follower
from oopsight.evidence.flow.table_index import TableIndex, collect
from oopsight.evidence.pointers import BytesPointer, InstructionPointer

MODULES = made.modules(made.module("fan", TEXT, TEXT + 0x1000, "O"))
BAD = 0x8E1BC9BF040004
ELEMENT = OBJECT + 0x100 + 7 * 8


def collected(monkeypatch: pytest.MonkeyPatch, code: str, at: int, **names: str) -> Any:
    """Of a load at a byte of the code, and a fault behind it."""
    machine = Code(code)
    machine.words = {OBJECT + 8: 7, ELEMENT: BAD}
    end = len(machine.code[0]) - 1
    registers = {"rbx": OBJECT, "rsi": BAD}
    frame = PhysicalFrame(0, TEXT + end, STACK, registers, faulted=True)
    monkeypatch.setattr(table_index, "calls", lambda *_: Calls(machine, [frame], {}))
    monkeypatch.setattr(follower, "owner_of", lambda *_: made.owner(OBJECT + 8, "slab"))
    known = {ELEMENT: names.get("element"), OBJECT + 0x100: names.get("table")}
    monkeypatch.setattr(Follower, "name_at", lambda _, __, address: known.get(address))
    step = made.flow_step(
        "loaded",
        "f0",
        BAD,
        "fan",
        frame=0,
        instruction=InstructionPointer(Address(TEXT + at), "00", "mov"),
        memory=BytesPointer(Address(ELEMENT), BAD.to_bytes(8, "little").hex()),
    )
    flow = made.data_flow(made.way(step), bad=made.owner(BAD, "non-canonical"))
    return collect(Machine().session, flow, made.backtrace(), MODULES)


# mov eax,[rbx+8]; mov rsi,[rbx+rax*8+0x100]; nop
BY_INDEX = "8b4308 488bb4c300010000 90"


def test_an_index_that_a_field_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, BY_INDEX, 3, element="fan.limits[3]", table="fan.curves[0]")
    assert isinstance(found, TableIndex)
    assert (found.way.value, found.beyond) == (7, True)
    within = collected(monkeypatch, BY_INDEX, 3, element="fan.curves[7]", table="fan.curves[0]")
    assert not within.beyond
    assert not collected(monkeypatch, BY_INDEX, 3).beyond


def test_a_pointer_at_a_fixed_place_has_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    # nop; nop; nop; mov rsi,[rbx+0x138]; nop
    assert isinstance(collected(monkeypatch, "909090 488bb338010000 90", 3), Missing)


def test_what_led_out_of_memory_itself() -> None:
    index = made.way(made.flow_step("loaded", "f0", 7), held_in=made.owner(OBJECT + 8, "slab"))
    flow = made.data_flow(index, subject="index", bad=made.owner(BAD, "unknown"))
    found = collect(Machine().session, flow, made.backtrace(), MODULES)
    assert found == TableIndex(index, beyond=True)


def test_a_member_of_an_entry_that_an_index_told(monkeypatch: pytest.MonkeyPatch) -> None:
    index = made.way(
        made.flow_step("index", "f0", ELEMENT),
        made.flow_step("loaded", "f0", 7),
        held_in=made.owner(OBJECT + 8, "slab"),
    )
    pointer = made.way(made.flow_step("loaded", "f0", 0))
    # mov rsi,[rax+8]; nop: how the code came to the entry is told by its pointer's way
    machine = Code("488b7008 90")
    monkeypatch.setattr(table_index, "calls", lambda *_: Calls(machine, [], {}))
    flow = made.data_flow(pointer, index)
    found = collect(Machine().session, flow, made.backtrace(), MODULES)
    assert isinstance(found, Missing)  # the step has no memory
    step = made.flow_step("loaded", "f0", 0, memory=BytesPointer(Address(ELEMENT), "00" * 8))
    flow = made.data_flow(made.way(step), index)
    found = collect(Machine().session, flow, made.backtrace(), MODULES)
    assert found == TableIndex(index, beyond=False)

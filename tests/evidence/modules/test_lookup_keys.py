"""The number by which something was looked up in vain, on code assembled by hand."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import OBJECT, STACK, TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.flow import follower
from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.modules import lookup_keys
from oopsight.evidence.modules.lookup_keys import LookupKey, collect
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.pointers import InstructionPointer

MODULES = made.modules(made.module("brs", TEXT, TEXT + 0x1000, "O"))
# mov esi,[rbx+8]; mov rdi,0xffffffffc0301000; call; mov ecx,[rax]
LOOKUP = "8b7308 48c7c70010 30c0 e8fb0f0000 8b08"
CALL, FAULT = 10, 15


def collected(monkeypatch: pytest.MonkeyPatch, number: int, how: str = "returned") -> Any:
    machine = Code(LOOKUP, "c3")
    machine.words = {OBJECT + 8: number}
    frame = PhysicalFrame(0, TEXT + FAULT, STACK, {"rbx": OBJECT, "rax": 0}, faulted=True)
    monkeypatch.setattr(lookup_keys, "calls", lambda *_: Calls(machine, [frame], {}))
    monkeypatch.setattr(follower, "owner_of", lambda *_: made.owner(OBJECT + 8, "slab"))
    monkeypatch.setattr(lookup_keys, "writers_of", lambda _, way, __: state(way))
    call = InstructionPointer(Address(TEXT + CALL), "e8fb0f0000", "call")
    step = made.flow_step(how, "f0", 0, "brs", frame=0, instruction=call)
    way = made.way(step, module="brs", function="f0", ended=how, returned_by="xa_load")
    return collect(Machine().session, made.data_flow(way), made.backtrace(), MODULES)


def state(way: Any) -> StateWriters:
    return StateWriters("brs", way, ("brs_select", "brs_remove"), leaving=("brs_remove",))


def test_a_number_that_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, 6)
    assert isinstance(found, LookupKey)
    assert (found.called, found.state.leaving) == ("xa_load", ("brs_remove",))
    assert found.state.way.end is not None
    assert found.state.way.end.value == 6


def test_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch, 0), Missing)
    assert isinstance(collected(monkeypatch, 6, "loaded"), Missing)

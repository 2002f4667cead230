"""Who raises the number of a table's entries in vain, on code assembled by hand."""

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
from oopsight.evidence.modules import limit_writers
from oopsight.evidence.modules.able_writers import AbleWriters
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.limit_writers import LimitWriters, collect
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer, InstructionPointer

MODULES = made.modules(made.module("stl", TEXT, TEXT + 0x1000, "O"))
# xor edx,edx; 1: mov eax,edx; add edx,1; mov rcx,[rdi+rax*8+0x10]; mov esi,[rcx];
# cmp edx,[rdi+8]; jb 1b; ret
LOOP = "31d2 89d0 83c201 488b4cc710 8b31 3b5708 72ef c3"
LOAD, FAULT = 7, 12


def collected(monkeypatch: pytest.MonkeyPatch, number: int, code: str = LOOP) -> Any:
    machine = Code(code)
    machine.words = {OBJECT + 8: number}
    registers = {"rdi": OBJECT, "rcx": 0, "rdx": 3, "rax": 2}
    frame = PhysicalFrame(0, TEXT + FAULT, STACK, registers, faulted=True)
    monkeypatch.setattr(limit_writers, "calls", lambda *_: Calls(machine, [frame], {}))
    monkeypatch.setattr(follower, "owner_of", lambda *_: made.owner(OBJECT + 8, "slab"))
    let = ModuleFunction("stl_let", TEXT, frozenset(), frozenset(), copies=False)
    monkeypatch.setattr(limit_writers, "inner_functions", lambda *_: [let])
    use = FieldUse((), (), counts=False, changes=frozenset([8]))
    monkeypatch.setattr(limit_writers, "uses_of", lambda *_: {"stl_let": use})
    monkeypatch.setattr(AbleWriters, "raises_in_vain", lambda *_: True)
    step = made.flow_step(
        "loaded",
        "f0",
        0,
        "stl",
        frame=0,
        instruction=InstructionPointer(Address(TEXT + LOAD), "488b4cc710", "mov"),
        memory=BytesPointer(Address(OBJECT + 0x20), "00" * 8),
    )
    flow = made.data_flow(made.way(step, module="stl", function="f0"))
    return collect(Machine().session, flow, made.backtrace(), MODULES)


def test_what_ends_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, 3)
    assert isinstance(found, LimitWriters)
    assert (found.way.value, found.functions) == (3, ("stl_let",))


def test_no_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch, 0), Missing)
    # nop in place of the comparison
    assert isinstance(collected(monkeypatch, 3, LOOP.replace("3b5708", "909090")), Missing)

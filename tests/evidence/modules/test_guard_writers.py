"""Who sets the number that says that a pointer may be followed, on code assembled by hand."""

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
from oopsight.evidence.modules import guard_writers
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.guard_writers import GuardWriters, collect
from oopsight.evidence.pointers import BytesPointer, InstructionPointer

MODULES = made.modules(made.module("dim", TEXT, TEXT + 0x1000, "O"))
# cmp dword ptr [rbx+8],2; jne; mov rax,[rbx+0x10]; mov ecx,[rax]; ret
BY_KIND = "837b0802 7506 488b4310 8b08 c3"
# nop; nop; … the same without a comparison
STRAIGHT = "909090909090 488b4310 8b08 c3"
KIND, PHASE = 8, 0x10


def changing(*keys: int) -> FieldUse:
    return FieldUse((), (), counts=False, changes=frozenset(keys))


def collected(monkeypatch: pytest.MonkeyPatch, code: str, uses: dict[str, FieldUse]) -> Any:
    machine = Code(code)
    machine.words = {OBJECT + KIND: 2, OBJECT + PHASE: 0}
    frame = PhysicalFrame(0, TEXT + 10, STACK, {"rbx": OBJECT, "rax": 0}, faulted=True)
    one = made.slab_object()

    def owner(_: object, address: int, *__: object) -> Any:
        return made.owner(address, "slab", slab=one, offset=address - OBJECT)

    monkeypatch.setattr(guard_writers, "calls", lambda *_: Calls(machine, [frame], {}))
    monkeypatch.setattr(guard_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(guard_writers, "uses_of", lambda *_: uses)
    monkeypatch.setattr(follower, "owner_of", lambda *_: owner(None, OBJECT + KIND))
    step = made.flow_step(
        "loaded",
        "f0",
        0,
        "dim",
        frame=0,
        instruction=InstructionPointer(
            Address(TEXT + 6), "488b4310", "mov rax, qword ptr [rbx + 0x10]"
        ),
        memory=BytesPointer(Address(OBJECT + PHASE), "00" * 8),
    )
    way = made.way(step, module="dim", function="f0", held_in=owner(None, OBJECT + PHASE))
    flow = made.data_flow(way)
    return collect(Machine().session, flow, made.backtrace(), MODULES)


USES = {
    "f0": changing(),
    "dim_prepare": changing(KIND, PHASE),
    "dim_copy": changing(KIND),
    "dim_level": changing(0x20),
}


def test_who_sets_the_kind_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, BY_KIND, USES)
    assert isinstance(found, GuardWriters)
    assert (found.functions, found.both) == (("dim_copy",), ("dim_prepare",))


def test_nobody_sets_both_or_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dim_prepare", "dim_copy"):
        uses = {key: use for key, use in USES.items() if key != name}
        assert isinstance(collected(monkeypatch, BY_KIND, uses), Missing)


def test_nothing_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch, STRAIGHT, USES), Missing)

"""An index out of a table on the heap, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import beyond_table as collector
from oopsight.evidence.corruption.beyond_table import BeyondTable, collect
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

RING = made.slab_object()
TABLE = 0xFFFFC90000400000
MODULES = made.modules(made.module("ring", TEXT, TEXT + 0x4000, "O"))
# mov eax,[rdi+0x10]; add eax,1; cmp eax,[rdi+0x14]; mov [rdi+0x10],eax; ret
BOUNDED = "8b4710 83c001 3b4714 894710 c3"
# xor edx,edx; div dword [rdi+0x14]; mov [rdi+0x10],edx; ret
DIVIDED = "8b4710 31d2 f77714 895710 c3"
UNBOUNDED = "8b4710 83c001 894710 c3"
# mov [rdi+8],rsi; mov [rdi+0x14],edx; ret; the second sets the index as well
RESIZE = "48897708 895714 c3"
RESET = "48897708 c7471000000000 c3"


def found(monkeypatch: pytest.MonkeyPatch, *functions: str, at: int, kept: bool = True) -> Any:
    code = Code(*functions)
    code.names = [f"ring_{number}" for number in range(len(functions))]
    inner = [
        ModuleFunction(name, code.start(number), frozenset(), frozenset(), copies=False)
        for number, name in enumerate(code.names)
    ]
    monkeypatch.setattr(collector, "SessionReader", lambda _: code)
    monkeypatch.setattr(collector, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(collector, "area_bounds", lambda *_: (TABLE, TABLE + 0x1000))
    table = made.owner(TABLE, "vmalloc", mapped=True)
    monkeypatch.setattr(collector, "owner_of", lambda *_: table)
    machine = Machine()
    machine.memory[int(RING.address)] = bytes(8) + TABLE.to_bytes(8, "little") + bytes(RING.size)
    added = made.flow_step("index", "ring_0", TABLE + 0x20000, "ring")
    load = made.flow_step("loaded", "ring_0", 0x20000, "ring")
    load = replace(
        load,
        memory=BytesPointer(Address(RING.address + 0x10), "00000200"),
        instruction=replace(load.instruction, text="mov eax, dword ptr [rdi + 0x10]"),
    )
    held: SlabObject | None = RING if kept else None
    owner = made.owner(RING.address + 0x10, "slab", slab=held, offset=0x10)
    way = made.way(added, load, module="ring", function="ring_0", held_in=owner, ended="loaded")
    flow = made.data_flow(way, bad=made.owner(at, "vmalloc-hole"), subject="index")
    return collect(machine.session, made.fault(at), flow, MODULES)


@pytest.mark.parametrize(
    ("user", "bounded"), [(BOUNDED, True), (DIVIDED, True), (UNBOUNDED, False)]
)
def test_who_replaces_the_table_and_not_the_index(
    monkeypatch: pytest.MonkeyPatch, user: str, bounded: bool
) -> None:
    one = found(monkeypatch, user, RESIZE, RESET, at=TABLE + 0x20000)
    assert isinstance(one, BeyondTable)
    assert one.changers == ("ring_1",)
    assert one.bounded is bounded
    assert one.beyond == 0x1F000
    assert one.pointer is not None
    assert one.pointer.address == RING.address + 8
    assert not one.ran_on


def test_what_is_within_the_table_or_right_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(found(monkeypatch, BOUNDED, at=TABLE + 0x800), Missing)
    near = found(monkeypatch, BOUNDED, at=TABLE + 0x1008)
    assert near.ran_on
    assert found(monkeypatch, BOUNDED, at=TABLE - 0x20).beyond == -0x20

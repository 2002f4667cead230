"""What the allocator refused to free, and whoever handed it that without a frame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.crash.bug_site import BugSite
from oopsight.evidence.memory import refused_object as this
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.memory.refused_object import RefusedObject, collect
from oopsight.evidence.pointers import BytesPointer, RegisterPointer
from oopsight.kernel.disassembler import Row
from oopsight.plumbing.mechanisms import ALLOCATOR

BASE, KFREE, CALLER = 0xFFFFFFFFC0300000, 0xFFFFFFFF81100000, 0xFFFFFFFF81200000
TABLE, DISCONNECT = BASE + 0x800, BASE + 0x100
MODULES = made.modules(made.module("pedal", BASE, BASE + 0x1000, "O"))
FREE = made.slab_object("free")
AT = FREE.address
REFERENCE = Reference(32, Address(TABLE), "handler", "pedal", BytesPointer(Address(AT + 32), "00"))
ONE = replace(FREE, refers=(REFERENCE,))
SITE = BugSite("mm/slub.c:1", False, None, (RegisterPointer("rax", AT),))


def trace(**changes: Any) -> Backtrace:
    found = made.backtrace(kfree=Role.FAULT, unregister=Role.CALLER)
    inner, outer = found.frames
    inner = replace(inner, plumbing=ALLOCATOR, pc=Address(KFREE + 0x20), module=None)
    outer = replace(outer, pc=Address(CALLER + 8), module=None, plumbing=None)
    return replace(found, frames=(inner, replace(outer, **changes)))


class Reader:
    """What is at an address, by the functions that are known."""

    def function(self, address: int) -> tuple[str, int, int] | None:
        known = {DISCONNECT: "pedal_disconnect", KFREE: "kfree", CALLER: "hub_unregister"}
        return (known[address], address, 64) if address in known else None


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    found.symbols = {KFREE: ("kfree", 0x100), DISCONNECT: ("pedal_disconnect", 64)}
    found.words(TABLE + 0x30, DISCONNECT)
    rows = [
        Row(CALLER, b"\x90" * 4, "mov", "rax, qword ptr [rax + 0x30]", b""),
        Row(CALLER + 4, b"\x90" * 4, "call", "0xffffffff81900000", b""),
    ]
    monkeypatch.setattr(this, "instructions", lambda *_: rows)
    monkeypatch.setattr(this, "SessionReader", lambda _: Reader())
    monkeypatch.setattr(this, "_jumps_to_allocator", lambda _, at: at == DISCONNECT)
    monkeypatch.setattr(this, "names_its_call", lambda *_: False)
    monkeypatch.setattr(this, "owner_of", lambda *_: made.owner(int(AT), "slab", slab=ONE))
    monkeypatch.setattr(this, "inner_functions", lambda *_: [])
    monkeypatch.setattr(this, "uses_of", lambda *_: {})
    monkeypatch.setattr(this, "freed_sizes", lambda _: ())
    monkeypatch.setattr(this, "leaving_what", lambda name, *_: (("pedal_connect",), f"un{name}"))
    return found


def test_by_the_table_that_the_object_leads_to(machine: Machine) -> None:
    found = collect(machine.session, trace(), MODULES, made.ABSENT, SITE)
    assert isinstance(found, RefusedObject)
    assert (found.object, found.module, found.freer) == (ONE, "pedal", "pedal_disconnect")
    assert found.table == REFERENCE.memory
    assert (found.leaves, found.taken_out_by) == (("pedal_connect",), "unpedal_disconnect")


def test_who_has_a_frame_is_taken(machine: Machine) -> None:
    own = trace(module="pedal", function="pedal_drop.isra.0")
    found = collect(machine.session, own, MODULES, made.ABSENT, SITE)
    assert isinstance(found, RefusedObject)
    assert (found.freer, found.table) == ("pedal_drop", None)


def test_another_place_of_the_table_or_an_object_in_use_says_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.words(TABLE + 0x30, BASE + 0x200)
    assert isinstance(collect(machine.session, trace(), MODULES, made.ABSENT, SITE), Missing)
    used = made.owner(int(AT), "slab", slab=replace(ONE, state="allocated"))
    monkeypatch.setattr(this, "owner_of", lambda *_: used)
    own = trace(module="pedal")
    assert isinstance(collect(machine.session, own, MODULES, made.ABSENT, SITE), Missing)


@pytest.mark.parametrize(("to", "found"), [(KFREE, True), (CALLER, False)])
def test_a_function_that_ends_in_the_allocator(
    monkeypatch: pytest.MonkeyPatch, to: int, found: bool
) -> None:
    rows = [Row(DISCONNECT, b"\x90" * 4, "pop", "rbx", b""), Row(0, b"\x90", "jmp", hex(to), b"")]
    monkeypatch.setattr(this, "instructions", lambda *_: rows)
    assert this._jumps_to_allocator(Reader(), DISCONNECT) is found  # type: ignore[arg-type]

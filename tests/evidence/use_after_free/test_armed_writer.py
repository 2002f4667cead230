"""An object that another module's timer writes to, on handmade memory."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free import armed_writer as collector
from oopsight.evidence.use_after_free.anothers import Anothers
from oopsight.evidence.use_after_free.claims import Claim

LAMPS = made.module("lamps", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0004000, "OE")
DOORS = made.module("doors", 0xFFFFFFFFC0010000, 0xFFFFFFFFC0014000, "OE")
SLAB = 0xFFFF888003600000
HOLDER = made.slab_object(size=0x40)


def found(
    monkeypatch: pytest.MonkeyPatch, *words: int, claimed: bool = True, known: bool = False
) -> Anothers | None:
    machine = Machine()
    machine.words(int(HOLDER.address), *words, *(0,) * (8 - len(words)))

    def owner_of(_: object, __: object, value: int) -> object:
        begin = Address(value & -0x400)
        return made.owner(value, "slab", slab=replace(HOLDER, address=begin, size=0x400))

    claim = Claim(DOORS, "its list leads to it", BytesPointer(Address(SLAB), "00" * 8))
    monkeypatch.setattr(collector, "slab_in_question", lambda *_: (SLAB, 0x4000))
    monkeypatch.setattr(collector, "_armed", lambda *_: iter([(LAMPS, HOLDER, "lamps_tick")]))
    monkeypatch.setattr(collector, "owner_of", owner_of)
    monkeypatch.setattr(collector, "claim_of", lambda *_: claim if claimed else None)
    monkeypatch.setattr(collector, "acquainted", lambda *_: known)
    modules = made.modules(LAMPS, DOORS)
    return collector.armed_writer(machine.session, modules, made.fault(), 0)


def test_whose_timer_has_a_pointer_into_anothers_object(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch, 0, SLAB + 0x840)
    assert one is not None
    assert (one.owner, one.object.address) == ("doors", SLAB + 0x800)
    name, why, pointer = one.former[0]
    assert (name, pointer.address) == ("lamps", HOLDER.address + 8)
    assert "lamps_tick" in why


def test_other_pointers(monkeypatch: pytest.MonkeyPatch) -> None:
    # The end of what is its own.
    assert found(monkeypatch, SLAB - 0x200, SLAB) is None
    assert found(monkeypatch, SLAB + 0x4000) is None
    assert found(monkeypatch, SLAB + 0x840, claimed=False) is None
    assert found(monkeypatch, SLAB + 0x840, known=True) is None

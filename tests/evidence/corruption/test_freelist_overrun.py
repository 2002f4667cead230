from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.corruption import freelist_overrun
from oopsight.evidence.crash.fault import Operand

SLAB, STRIDE, OBJECTS = 0xFFFF888003FB0000, 64, 16
TEXT = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 8
CACHE = SimpleNamespace(
    size=SimpleNamespace(value_=lambda: STRIDE), offset=SimpleNamespace(value_=lambda: 32)
)


def owner(_: Any, __: Any, address: int) -> Any:
    begin = address - (address - SLAB) % STRIDE
    return made.owner(address, "slab", slab=made.slab_object(address=Address(begin)))


@pytest.fixture
def slab(monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(freelist_overrun, "slab_caches", lambda *_: [CACHE])
    monkeypatch.setattr(freelist_overrun, "_handed_out", lambda *_: (SLAB, STRIDE * OBJECTS))
    monkeypatch.setattr(freelist_overrun, "owner_of", owner)
    return Machine()


def look(machine: Machine, at: int, length: int) -> Any:
    data = bytearray(STRIDE * OBJECTS)
    data[at : at + length] = TEXT[:length]
    machine.memory[SLAB] = bytes(data)
    bad = Address(0xE78243833911F3BA)
    met = made.fault(None, operand=Operand("rax", bad, None, 0, bad))
    return freelist_overrun.freelist_overrun(machine.session, None, met, 0)


def test_a_text_over_the_links_of_free_objects_begins_in_the_one_too_small(slab: Machine) -> None:
    found = look(slab, 4 * STRIDE + 16, 180)
    assert found is not None
    _, one, ran = found
    assert int(ran.before.address) == SLAB + 4 * STRIDE
    assert int(one.address) == SLAB + 5 * STRIDE
    assert ran.start == SLAB + 4 * STRIDE + 16


def test_a_text_that_ends_before_the_link_broke_nothing(slab: Machine) -> None:
    assert look(slab, 4 * STRIDE + 16, 64) is None
    assert look(slab, 4 * STRIDE, 60) is None

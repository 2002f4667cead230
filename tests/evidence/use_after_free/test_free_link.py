from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.use_after_free import free_link
from oopsight.evidence.use_after_free.free_link import read_while_free, still_linked

ONE = made.slab_object("allocated")
LINK, SECRET = 32, 0x5F40AFB85DB64E0A
PLACE = int(ONE.address) + LINK
NEXT = int(ONE.address) + 3 * ONE.stride


def stored(link: int, place: int = PLACE) -> int:
    """As freelist_ptr_encode() in mm/slub.c stores it."""
    return link ^ SECRET ^ int.from_bytes(place.to_bytes(8, "little"), "big")


def flow(value: int, *, offset: int = LINK, agrees: bool = False) -> Any:
    step = made.flow_step("loaded", "evaluate", value, "pol", agrees=agrees)
    held = made.owner(int(ONE.address) + offset, "slab", slab=ONE, offset=offset)
    return made.data_flow(
        made.way(step, held_in=held, ended="loaded"), bad=made.owner(value, "non-canonical")
    )


@pytest.fixture(autouse=True)
def _slab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_link, "_cache", lambda *_: (LINK, SECRET))

    def owner_of(_: Any, __: Any, address: int) -> Any:
        other = made.slab_object("free", address=made.Address(NEXT))
        known = NEXT <= address < NEXT + ONE.stride
        return made.owner(address, "slab", slab=other if known else None)

    monkeypatch.setattr(free_link, "owner_of", owner_of)


def test_a_link_of_the_allocator_was_read_while_the_object_was_free() -> None:
    found = read_while_free(Machine().session, flow(stored(NEXT)))
    assert found is not None
    assert found[1] == ONE
    assert f"{NEXT:#x}" in found[0]
    assert read_while_free(Machine().session, flow(stored(0))) is not None
    # Before Linux 5.7 the place is not swapped.
    assert read_while_free(Machine().session, flow(NEXT ^ SECRET ^ PLACE)) is not None


def test_anything_else_is_no_link() -> None:
    session = Machine().session
    assert read_while_free(session, flow(stored(NEXT + 8))) is None
    assert read_while_free(session, flow(0x1234567890ABCDEF)) is None
    assert read_while_free(session, flow(stored(NEXT), offset=8)) is None


def test_what_is_still_there_may_be_of_memory_not_yet_written_to() -> None:
    assert read_while_free(Machine().session, flow(stored(NEXT), agrees=True)) is None


class Number(int):
    """As drgn's objects are read."""

    def value_(self) -> int:
        return int(self)


def lost(value: int) -> Any:
    """Data flow that ends where the value was: what it was read through is overwritten."""
    way = made.way(
        made.flow_step("stuck", "drop", value, "pol"), ended="lost", value=made.Address(value)
    )
    return made.data_flow(way, bad=made.owner(value, "non-canonical"))


def test_a_free_object_that_holds_the_very_link(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SimpleNamespace(offset=Number(LINK), random=Number(SECRET))
    monkeypatch.setattr(free_link, "slab_caches", lambda *_: [cache])
    monkeypatch.setattr(free_link, "free_objects", lambda _: [NEXT, int(ONE.address)])
    free = made.slab_object("free")
    monkeypatch.setattr(
        free_link,
        "owner_of",
        lambda _, __, at: made.owner(at, "slab", slab=free if at == ONE.address else None),
    )
    machine = Machine()
    machine.words(PLACE, stored(NEXT))
    found = still_linked(machine.session, lost(stored(NEXT)))
    assert found is not None
    assert found[1] == free
    # A list's entry that has its node where the allocator has its link.
    assert still_linked(machine.session, lost(stored(NEXT) - LINK)) == found
    assert still_linked(machine.session, lost(stored(NEXT) - 8)) is None
    # No free object holds it; the way is known; it is an address.
    assert still_linked(Machine().session, lost(stored(NEXT))) is None
    assert still_linked(machine.session, flow(stored(NEXT))) is None
    assert still_linked(machine.session, lost(PLACE)) is None

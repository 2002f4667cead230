"""The head of a list, taken for one of its entries."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import head_taken
from oopsight.evidence.corruption.head_taken import HeadTaken, collect
from oopsight.evidence.memory.owner import Owner, SlabObject
from oopsight.evidence.pointers import BytesPointer

MODULES = made.modules(made.module("desk", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0001000, "O"))
HEAD, ENTRY = 0xFFFF888000040020, 0xFFFF888000050000


def taken(
    monkeypatch: pytest.MonkeyPatch, link: int, *links: int, kind: str = "slab", **changes: Any
) -> HeadTaken | Missing:
    """The head's address was read from *link*; it holds *links*."""
    machine = Machine()
    machine.words(HEAD, *links)
    monkeypatch.setattr(head_taken, "owner_of", lambda *_: made.owner(HEAD, kind))
    monkeypatch.setattr(
        head_taken, "read_word", lambda _, at: int.from_bytes(machine.read(at, 8), "little")
    )
    bad = made.flow_step("loaded", "desk_call", 0, "desk")
    read = made.flow_step("loaded", "desk_call", HEAD, "desk")
    memory = BytesPointer(Address(link), HEAD.to_bytes(8, "little").hex())
    read = replace(read, memory=memory)
    outer = made.way(read, **{"module": "desk", "function": "desk_call", **changes})
    return collect(machine.session, made.data_flow(made.way(bad), outer), MODULES)


def test_the_first_entry_of_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    found = taken(monkeypatch, HEAD, HEAD, HEAD)
    assert isinstance(found, HeadTaken)
    assert (found.function, found.head, found.empty) == ("desk_call", HEAD, True)


def test_what_a_loop_has_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = taken(monkeypatch, ENTRY, ENTRY + 0x40, ENTRY, kind="module")
    assert isinstance(found, HeadTaken)
    assert not found.empty
    # In an object it may be an entry.
    assert isinstance(taken(monkeypatch, ENTRY, ENTRY + 0x40, ENTRY), Missing)


def test_a_head_in_an_object_that_is_unlike_its_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, other = ENTRY, ENTRY + 0x40, made.slab_object(cache_address=Address(0x9000))

    def found(holder: SlabObject, *entries: int) -> HeadTaken | Missing:
        machine = Machine()
        for at, after in itertools.pairwise((HEAD, *entries, HEAD)):
            machine.words(at, after)
        machine.words(HEAD + 8, entries[-1])
        holders = {HEAD: holder}
        kept = {at: replace(made.slab_object(), address=Address((at & ~63) - 32)) for at in entries}
        return collect_at(monkeypatch, machine, entries[-1], kept | holders)

    assert isinstance(found(other, first, second), HeadTaken)
    assert isinstance(found(made.slab_object(), first, second), Missing)  # it may be an entry
    assert isinstance(found(other, first), Missing)  # the other may be the head
    assert isinstance(found(other, first, second + 8), Missing)  # neither are the others alike


def collect_at(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, link: int, holders: dict[int, SlabObject]
) -> HeadTaken | Missing:
    """The head's address was read from *link*; all entries are in objects."""

    def owner_of(_: object, __: object, at: int) -> Owner:
        one = holders[at]
        return replace(made.owner(at, "slab"), slab=one, offset=at - one.address)

    monkeypatch.setattr(head_taken, "owner_of", owner_of)
    monkeypatch.setattr(
        head_taken, "read_word", lambda _, at: int.from_bytes(machine.read(at, 8), "little")
    )
    read = made.flow_step("loaded", "desk_call", HEAD, "desk")
    read = replace(read, memory=BytesPointer(Address(link), HEAD.to_bytes(8, "little").hex()))
    outer = made.way(read, module="desk", function="desk_call")
    bad = made.way(made.flow_step("loaded", "desk_call", 0, "desk"))
    return collect(machine.session, made.data_flow(bad, outer), MODULES)


def test_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(taken(monkeypatch, ENTRY, HEAD, HEAD), Missing)  # an entry taken off
    assert isinstance(taken(monkeypatch, HEAD, ENTRY, ENTRY), Missing)
    assert isinstance(taken(monkeypatch, HEAD, HEAD, HEAD, module=None), Missing)

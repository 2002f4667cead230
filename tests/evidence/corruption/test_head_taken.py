"""The head of a list, taken for one of its entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import head_taken
from oopsight.evidence.corruption.head_taken import HeadTaken, collect
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


def test_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(taken(monkeypatch, ENTRY, HEAD, HEAD), Missing)  # an entry taken off
    assert isinstance(taken(monkeypatch, HEAD, ENTRY, ENTRY), Missing)
    assert isinstance(taken(monkeypatch, HEAD, HEAD, HEAD, module=None), Missing)

"""Stores by an index that leads into the next object, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import neighbour_stores as collector
from oopsight.evidence.corruption.neighbour_stores import NeighbourStores, collect
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

BANK = made.module("bank", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0004000, "OE")
VARIABLE = 0xFFFFFFFFC0003010
ONE = made.slab_object(size=0x40)
AT = int(ONE.address)
BEFORE = replace(ONE, address=Address(AT - 0x40))
STAMP, DAMAGED, FLIPPED = 0x12676BDAC, 0xFFFF88801234ABCD, 0xFF7F888003500000
GOOD = 0xFFFF888003500000
# mov [rdi+rsi*8+8],rax, of an index up to 7, and up to 6
ONE_TOO_MANY = "83fe07 7705 488944f708 c3"
WITHIN = "83fe06 7705 488944f708 c3"
# movzx ecx,word[rdi+2]; cmp esi,ecx; jg/jge ret; shl rsi,4; add rsi,[rdi+8]; mov [rsi],eax; ret
BY_MEMORY = "0fb74f02 39ce {}0a 48c1e604 48037708 8906 c3"
# btr [rdi+0x30],rsi; ret, with and without cmp esi,0x3f; ja
BIT = "480fb37730 c3"
CHECKED_BIT = f"83fe3f 7706 {BIT}"


def found(
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    value: int = STAMP,
    *,
    holds: bool = False,
    count: int = 4,
) -> Any:
    machine = Machine()
    machine.words(AT, value)
    machine.words(AT + 0x40, GOOD)
    machine.words(VARIABLE - 8, count << 16, int(BEFORE.address))
    monkeypatch.setattr(collector, "SessionReader", lambda _: text)
    text = Code(code)
    inner = [ModuleFunction("bank_set", text.start(0), frozenset(), frozenset(), copies=False)]
    near = {-1: BEFORE, 1: replace(ONE, address=Address(AT + 0x40))}
    kinds = {GOOD: "slab", DAMAGED: "page"}
    held = [(BANK, Address(VARIABLE), "bank_all", None)] if holds else []
    monkeypatch.setattr(collector, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(collector, "neighbour", lambda *a: near.get(a[3]))
    monkeypatch.setattr(
        collector, "owner_of", lambda *a: made.owner(a[2], kinds.get(a[2], "unknown"))
    )
    monkeypatch.setattr(collector, "allocating", lambda *_: (("bank_add",), True))
    monkeypatch.setattr(collector, "holding_variables", lambda *_: held)
    step = made.flow_step("loaded", "check", value, "tickets")
    step = replace(step, memory=BytesPointer(Address(AT), "00" * 8), agrees=True)
    owner = made.owner(AT, "slab", slab=ONE, offset=0)
    flow = made.data_flow(made.way(step, held_in=owner), bad=made.owner(value, "unknown"))
    return collect(machine.session, flow, made.modules(BANK))


def test_an_index_that_may_be_as_large_as_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = found(monkeypatch, ONE_TOO_MANY)
    assert isinstance(stores, NeighbourStores)
    assert (stores.stores[0].function, stores.stores[0].index) == ("bank_set", 7)
    assert stores.stores[0].how == "one too many"
    assert isinstance(found(monkeypatch, WITHIN), Missing)


@pytest.mark.parametrize(
    ("jump", "count", "sure"), [("7f", 4, True), ("7d", 4, False), ("7f", 3, False)]
)
def test_a_number_beside_the_pointer_to_the_table(
    monkeypatch: pytest.MonkeyPatch, jump: str, count: int, sure: bool
) -> None:
    stores = found(monkeypatch, BY_MEMORY.format(jump), holds=True, count=count)
    assert isinstance(stores, NeighbourStores) is sure
    if sure:
        assert (stores.stores[0].index, stores.stores[0].how) == (4, "one too many")


def test_a_bit_of_a_bitmap(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = found(monkeypatch, BIT, FLIPPED)
    assert isinstance(stores, NeighbourStores)
    assert (stores.stores[0].index, stores.one_bit) == (128, True)
    assert isinstance(found(monkeypatch, BIT), Missing)
    assert isinstance(found(monkeypatch, CHECKED_BIT, FLIPPED), Missing)


@pytest.mark.parametrize(("count", "found_"), [(4, True), (5, False)])
def test_a_number_in_the_object_with_the_table(
    monkeypatch: pytest.MonkeyPatch, count: int, found_: bool
) -> None:
    # cmp [rdi+4],esi; jb 1f; mov esi,esi; shl rsi,4; mov [rdi+rsi],eax; 1: ret
    code = "397704 7209 89f6 48c1e604 890437 c3"
    original = Machine.words
    monkeypatch.setattr(
        Machine,
        "words",
        lambda self, at, *values: (
            original(self, at, *values),
            original(self, AT - 0x40, count << 32) if at == AT else None,
        ),
    )
    stores = found(monkeypatch, code)
    assert isinstance(stores, NeighbourStores) is found_

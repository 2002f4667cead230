"""Stores by an index that leads out of its table, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import stray_stores as collector
from oopsight.evidence.corruption.stray_stores import StrayStore, StrayStores, collect, stray_stores
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

TABLE = 0xFFFFFFFFC0003018
OPS = TABLE - 8
MIXER = made.module("mixer", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0004000, "OE")
STORE = "8934fd 183000c0 c3"  # mov [rdi*8+TABLE],esi; ret
# movsxd rdi,edi; cmp edi,7; jg to ret
FROM_ABOVE = f"4863ff 83ff07 7f07 {STORE}"
FROM_BOTH = f"4863ff 83ff07 7707 {STORE}"  # ja
IN_TWO = f"4863ff 85ff 780c 83ff07 7f07 {STORE}"  # test edi,edi; js; cmp edi,7; jg
ONE_TOO_MANY = f"4863ff 83ff08 7707 {STORE}"
BARE = f"4863ff {STORE}"
# movsxd rsi,esi; cmp esi,7; jg; mov [rdi+rsi*8+0x18],edx; ret
IN_OBJECT = "4863f6 83fe07 7f04 8954f718 c3"


def found(
    monkeypatch: pytest.MonkeyPatch, *functions: str, at: int = OPS, in_object: bool = False
) -> tuple[StrayStore, ...]:
    code = Code(*functions, "c3")
    code.names = ["set_balance", *(f"caller_{i}" for i in range(len(functions) - 1)), "ops"]
    inner = [
        ModuleFunction(name, code.start(i), frozenset(), frozenset(), copies=False)
        for i, name in enumerate(code.names)
    ]
    monkeypatch.setattr(collector, "SessionReader", lambda _: code)
    monkeypatch.setattr(collector, "inner_functions", lambda *_: inner)
    return stray_stores(Machine().session, MIXER, at, in_object=in_object)


@pytest.mark.parametrize(
    ("code", "at", "stray"),
    [
        (FROM_ABOVE, OPS, (-1, None, 7)),
        # A store of four bytes that runs into the upper half only.
        (FROM_ABOVE, OPS - 4, (-1, None, 7)),
        (FROM_ABOVE, TABLE + 64, None),
        (FROM_BOTH, OPS, None),
        (IN_TWO, OPS, None),
        (ONE_TOO_MANY, TABLE + 64, (8, 0, 8)),
        (ONE_TOO_MANY, OPS, None),
        # What the kernel calls with a number may be limited there.
        (BARE, OPS, None),
    ],
)
def test_what_a_function_compares_its_index_with(
    monkeypatch: pytest.MonkeyPatch, code: str, at: int, stray: tuple[Any, ...] | None
) -> None:
    expected = (StrayStore("set_balance", *stray),) if stray is not None else ()
    assert found(monkeypatch, code, at=at) == expected


def test_who_hands_the_index_over_may_have_looked_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # cmp edi,7; ja +5; call set_balance; ret
    checks = "83ff07 7705 e8f6efffff c3"
    # mov edi,[rip+...]; call set_balance; ret
    does_not = "8b3d00010000 e8f5efffff c3"
    assert found(monkeypatch, BARE, checks) == ()
    unchecked = found(monkeypatch, BARE, does_not)
    assert unchecked == (StrayStore("set_balance", -1, None, None),)
    # mov edi,esi; call set_balance; ret: of what the kernel calls that one with nothing is known.
    hands_on = "89f7 e8f9efffff c3"
    assert found(monkeypatch, BARE, hands_on) == ()


def test_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch, IN_OBJECT, at=0x10, in_object=True)
    assert one == (StrayStore("set_balance", -1, None, 7),)
    assert found(monkeypatch, IN_OBJECT, at=0x60, in_object=True) == ()


def test_a_pointer_that_a_module_keeps_was_found_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    step = made.flow_step("loaded", "feed", 0x80000100000000F0, "mixer")
    step = replace(step, memory=BytesPointer(Address(OPS), "00" * 8))
    held = made.owner(OPS, "module", module="mixer")
    flow = made.data_flow(made.way(step, module="mixer", held_in=held, name="mixer.ops"))
    code = Code(FROM_ABOVE)
    inner = [ModuleFunction("set_balance", TEXT, frozenset(), frozenset(), copies=False)]
    monkeypatch.setattr(collector, "SessionReader", lambda _: code)
    monkeypatch.setattr(collector, "inner_functions", lambda *_: inner)
    stores = collect(Machine().session, flow, made.modules(MIXER))
    assert isinstance(stores, StrayStores)
    assert (stores.place, stores.stores[0].index) == ("mixer.ops", -1)
    assert isinstance(collect(Machine().session, flow, made.modules()), Missing)


def test_characters_are_an_index_below_zero_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # movsx rax,byte[rdi]; add [rax*4+TABLE],esi; movsx rax,byte[rdi+rdx]; test al,al; jne -16; ret
    counts = "480fbe07 01348518 3000c0 480fbe0417 84c0 75f0 c3"
    stray = found(monkeypatch, counts)
    assert stray == (StrayStore("set_balance", -2, -128, 127),)
    unsigned = counts.replace("480fbe", "480fb6")
    assert found(monkeypatch, unsigned) == ()


def test_the_limits_of_a_number_that_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    # sub esi,edx; cmp esi,8; ja/jae; mov [rdi+rsi*8+0x18],edx; ret
    code = "29d6 83fe08 {}04 8954f718 c3"
    one = found(monkeypatch, code.format("77"), at=0x58, in_object=True)
    assert one == (StrayStore("set_balance", 8, 0, 8),)
    assert found(monkeypatch, code.format("73"), at=0x58, in_object=True) == ()


def test_bits_behind_a_bitmap(monkeypatch: pytest.MonkeyPatch) -> None:
    # mov esi,[rip+0x100]; btr [rdi+0x18],rsi; ret
    clears = "8b3500010000 480fb37718 c3"
    one = found(monkeypatch, clears, at=0x20, in_object=True)
    assert one == (StrayStore("set_balance", 64, None, None, bits=True),)
    # lock bts [rip-7+...],rsi: a bitmap that is a variable
    sets = "8b3500010000 f0480fab34251830 00c0 c3"
    assert found(monkeypatch, sets, at=TABLE + 8)[0].bits


def test_an_index_that_was_kept_over_a_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    # sub rsp,24; movsxd rsi,esi; cmp esi,8; ja to the end; mov eax,esi; cmp eax,7; ja to 28;
    # 1b: mov [rdi+rax*8+0x18],edx; add rsp,24; ret; 28: mov [rsp+8],eax; mov eax,[rsp+8]; jmp 1b
    code = (
        "4883ec18 4863f6 83fe08 7712 89f0 83f807 7710 8954c718 4883c418 c3 "
        "9090909090 89442408 8b442408 ebe5"
    )
    one = found(monkeypatch, code, at=0x58, in_object=True)
    assert [(store.index, store.most) for store in one] == [(8, 8)]

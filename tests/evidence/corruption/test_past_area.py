"""Who had an area of vmalloc made that an access went past the end of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import OBJECT, STACK, TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import past_area
from oopsight.evidence.corruption.past_area import PastArea, collect, tells_a_number, unaware
from oopsight.evidence.crash.fault import Operand
from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.flow.extent import Extent
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.modules.field_code import FieldUse, Stored

AREA = 0xFFFFC90000400000
GUARD = made.owner(AREA + 0x2000, "vmalloc")
MODULES = made.modules(
    made.module("fb", TEXT, TEXT + 0x2000, "O"),
    made.module("pool", TEXT + 0x2000, TEXT + 0x3000, "O"),
)


def collected(monkeypatch: pytest.MonkeyPatch, caller: int | None, **bad: Any) -> Any:
    # mov rdi,[rbx]; mov ecx,[rbx+8]; mov [rdi+rcx],al
    code = Code("488b3b 8b4b08 88040f c3", "c3", "c3")
    code.names = ["fb_fill.constprop.0", "fb_resize.part.0", "pool_get"]
    code.words = {OBJECT: AREA, OBJECT + 8: 0x2000}
    frame = PhysicalFrame(0, TEXT + 6, STACK, {"rbx": OBJECT, "rcx": 0x2000}, faulted=True)
    monkeypatch.setattr(past_area, "calls", lambda *_: Calls(code, [frame], {}))
    monkeypatch.setattr(past_area, "area_caller", lambda *_: caller)
    step = made.flow_step("loaded", "fb_fill", AREA)
    flow = made.data_flow(made.way(step), bad=replace(GUARD, **bad))
    return collect(Machine().session, flow, made.backtrace(), MODULES, made.ABSENT, made.ABSENT)


def test_the_maker_and_what_told_how_far_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, TEXT + 0x1000)
    assert isinstance(found, PastArea)
    assert (found.maker, found.maker_module) == ("fb_resize", "fb")
    assert (found.runner, found.runner_module) == ("fb_fill", "fb")
    assert found.bound is not None
    assert found.bound.instruction.text == "mov ecx, dword ptr [rbx + 8]"
    other = collected(monkeypatch, TEXT + 0x2000)
    assert (other.maker, other.maker_module) == ("pool_get", "pool")


def test_a_maker_that_is_gone_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for caller in (None, TEXT + 0x100000):
        found = collected(monkeypatch, caller)
        assert (found.maker, found.maker_module) == (None, None)


def test_memory_that_can_be_read_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch, TEXT + 0x1000, mapped=True), Missing)
    assert isinstance(collected(monkeypatch, TEXT + 0x1000, kind="slab"), Missing)


@pytest.mark.parametrize(
    ("address", "freed", "key", "maker"),
    [
        (0x400, False, 8, "fb_resize"),
        (0x400, False, 0x10, None),
        (0x20, False, 8, "none at all"),
        (0x400, True, 8, "none at all"),
    ],
)
def test_an_index_that_led_out_of_an_object(
    monkeypatch: pytest.MonkeyPatch, address: int, freed: bool, key: int, maker: str | None
) -> None:
    one = made.slab_object(size=0x40, state="free" if freed else "allocated")
    begin = int(one.address)
    code = Code("488b3b 8b4b08 88040f c3", "c3", "c3")
    code.names = ["fb_fill", "fb_resize", "pool_get"]
    frame = PhysicalFrame(0, TEXT + 6, STACK, {"rbx": OBJECT, "rcx": 0x2000}, faulted=True)
    monkeypatch.setattr(past_area, "calls", lambda *_: Calls(code, [frame], {}))
    monkeypatch.setattr(
        past_area, "owner_of", lambda *_: made.owner(begin, "slab", slab=one, offset=0)
    )
    monkeypatch.setattr(past_area, "inner_functions", lambda *_: [])
    fresh = Stored(key, "fresh", "kmalloc")
    uses = {"fb_resize": FieldUse((), (fresh,), counts=False)}
    monkeypatch.setattr(past_area, "uses_of", lambda *_: uses)
    step = made.flow_step("loaded", "fb_fill", begin, "fb")
    row = replace(step.instruction, text="mov rdi, qword ptr [rbx + 8]")
    way = replace(made.way(replace(step, instruction=row), ended="loaded"), value=Address(begin))
    flow = made.data_flow(way, bad=made.owner(begin + address, "unknown"))
    operand = Operand("rdi", Address(begin), "rcx", 0, Address(begin + address))
    fault = made.fault(begin + address, operand=operand)
    found = collect(Machine().session, flow, made.backtrace(), MODULES, made.ABSENT, fault)
    if maker == "none at all":
        assert isinstance(found, Missing)
        return
    assert isinstance(found, PastArea)
    assert (found.object, found.maker, found.runner) == (one, maker, "fb_fill")


@pytest.mark.parametrize(
    ("code", "tells"),
    [
        ("b880000000 c3", True),  # mov eax,128; ret
        ("8b4708 c3", True),  # mov eax,[rdi+8]; ret
        ("b880000000 894708 c3", False),  # mov eax,128; mov [rdi+8],eax; ret
        ("e8fb0f0000 c3", True),  # call the next; ret
        ("e8fb1f0000 c3", False),  # call one that stores; ret
        ("e8fb4f0000 c3", False),  # call the kernel; ret
        ("c3", False),
    ],
)
def test_what_only_works_out_a_number(code: str, tells: bool) -> None:
    found = Calls(Code(code, "8b4710 c3", "894708 c3"), [], {})
    function = found.function(TEXT)
    assert function is not None
    module = made.module("nic", TEXT, TEXT + 0x3000, "O")
    assert tells_a_number(found, module, function) is tells


@pytest.mark.parametrize(
    ("teller", "named"),
    [
        ("b808000000 c3", True),  # mov eax,8; ret
        ("8b470c c3", True),  # mov eax,[rdi+0xc]; ret
        ("8b4708 c3", False),  # mov eax,[rdi+8]; ret
    ],
)
def test_who_tells_by_none_of_the_fields_that_the_runner_goes_by(teller: str, named: bool) -> None:
    # mov ecx,[rdi+8]; mov byte [rsi+rcx],0; dec ecx; jne; ret
    code = Code("8b4f08 c6040e00 ffc9 75f8 c3", teller)
    calls = Calls(code, [], {})
    runner, told = calls.function(TEXT), calls.function(TEXT + 0x1000)
    assert runner is not None
    assert told is not None
    context = Context(runner, 1, {}, None, 0)
    limits = Extent(calls.tracer, lambda _: False).limits(context)
    assert (unaware([told], limits) == [told]) is named
    assert unaware([told], []) == []

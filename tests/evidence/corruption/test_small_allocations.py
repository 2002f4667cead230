"""Functions that use more than they allocate, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import small_allocations as collector
from oopsight.evidence.corruption.small_allocations import SmallAllocations, collect
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

ONE = made.slab_object(size=64, cache="kmalloc-64")
MODULES = made.modules(made.module("relay", TEXT, TEXT + 0x3000, "O"))
BAD = made.owner(0x6F6E2D656C676E61, "non-canonical")
HELD = made.owner(int(ONE.address), "slab", slab=ONE)
FLOW = made.data_flow(
    made.way(made.flow_step("loaded", "relay_show", 0x6F6E2D656C676E61), held_in=HELD), bad=BAD
)
# mov edx,40; mov esi,0xdc0; call __kmalloc_cache_noprof (f2); test rax,rax; je to ret
ALLOCATES = "ba28000000 bec00d0000 e8f11f0000 4885c0 74{}"


def found(monkeypatch: pytest.MonkeyPatch, *functions: str) -> Any:
    code = Code(*functions, "c3")
    code.names = ["relay_add", "relay_init_one", "__kmalloc_cache_noprof"]
    inner = [
        ModuleFunction(name, code.start(number), frozenset(), frozenset(), copies=False)
        for number, name in enumerate(code.names[:2])
    ]
    monkeypatch.setattr(collector, "SessionReader", lambda _: code)
    monkeypatch.setattr(collector, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(collector, "neighbour", lambda *_: None)
    return collect(Machine().session, FLOW, made.ABSENT, MODULES)


@pytest.mark.parametrize(
    ("stores", "used"),
    [
        ("c7406018000000", 0x64),  # mov dword [rax+0x60],24
        ("48c7403800000000", None),  # mov qword [rax+0x38],0: the last that are there
        ("48c7404000000000", 0x48),  # mov qword [rax+0x40],0
    ],
)
def test_a_field_behind_what_was_allocated(
    monkeypatch: pytest.MonkeyPatch, stores: str, used: int | None
) -> None:
    size = len(bytes.fromhex(stores))
    one = found(monkeypatch, f"{ALLOCATES.format(f'{size:02x}')} {stores} c3", "c3")
    if used is None:
        assert isinstance(one, Missing)
        return
    assert isinstance(one, SmallAllocations)
    (small,) = one.found
    assert (small.function, small.allocated, small.used) == ("relay_add", 40, used)


def test_a_function_that_is_handed_the_pointer(monkeypatch: pytest.MonkeyPatch) -> None:
    # mov rdi,rax; call f1; ret
    hands = f"{ALLOCATES.format('08')} 4889c7 e8e40f0000 c3"
    # The other: mov [rdi+0x50],rsi; ret
    one = found(monkeypatch, hands, "48897750 c3")
    assert isinstance(one, SmallAllocations)
    assert one.found[0].used == 0x58
    assert isinstance(found(monkeypatch, hands, "48897730 c3"), Missing)


# mov rax,[rip+0x2000]; mov rdi,rax; call f1; ret
RESETS = "488b0500200000 4889c7 e8f10f0000 c3"
# lea rdx,[rdi]; mov rdi,rdx; mov ecx,N; xor eax,eax; rep stosq; ret
FILLS = "488d17 4889d7 b9{:02x}000000 31c0 f348ab c3"
# mov [rdi+8],rax; mov [rdi+0x60],rax; lea rdi,[rdi+0x10]; and rdi,-8; rep stosq; ret
IN_PARTS = "48894708 48894760 488d7f10 4883e7f8 f348ab c3"


@pytest.mark.parametrize(
    ("fills", "used"),
    [(FILLS.format(9), 72), (FILLS.format(8), None), (IN_PARTS, 0x68), ("48894760 c3", None)],
)
def test_who_fills_more_than_the_object_before_has(
    monkeypatch: pytest.MonkeyPatch, fills: str, used: int | None
) -> None:
    code = Code(RESETS, fills)
    code.names = ["washer_write", "washer_reset"]
    inner = [
        ModuleFunction(name, code.start(number), frozenset(), frozenset(), copies=False)
        for number, name in enumerate(code.names)
    ]
    variable = Address(TEXT + 0x2007)
    before = replace(ONE, address=Address(ONE.address - ONE.stride))
    memory = BytesPointer(variable, int(before.address).to_bytes(8, "little").hex())
    monkeypatch.setattr(collector, "SessionReader", lambda _: code)
    monkeypatch.setattr(collector, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(collector, "neighbour", lambda *_: before)
    holds = [(MODULES.loaded[0], variable, "washer_program", memory)]
    monkeypatch.setattr(collector, "holding_variables", lambda *_: iter(holds))
    machine = Machine()
    machine.symbols[int(variable)] = ("washer_program", 8)
    one = collect(machine.session, FLOW, made.ABSENT, MODULES)
    if used is None:
        assert isinstance(one, Missing)
        return
    assert isinstance(one, SmallAllocations)
    assert (one.found[0].function, one.found[0].used) == ("washer_reset", used)

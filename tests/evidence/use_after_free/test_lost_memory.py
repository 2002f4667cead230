from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free import lost_memory
from oopsight.evidence.use_after_free.lost_memory import LostMemory, collect

PAGE = 0xFFFF888002000000
SLOT = PAGE + 0x70
VICTIM, OTHER = 0xFFFFFFFFC0400000, 0xFFFFFFFFC0500000
TEXT = 0x6C2F7261762F2066
MODULES = made.modules(
    made.module("desc", VICTIM, VICTIM + 0x18, "O"), made.module("cmdlog", OTHER, OTHER + 0x18, "O")
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    found.words(VICTIM, 1, SLOT, 0)
    found.words(OTHER, 1, PAGE, 0)
    found.symbols = {VICTIM: ("desc_current", 0x40), OTHER: ("cmdlog_page", 0x40)}
    code = [
        ModuleFunction(name, VICTIM + at, frozenset(calls), frozenset(), copies=False)
        for name, at, calls in (
            ("desc_resize", 0, ["free_pages"]),
            ("desc_exit", 16, ["free_pages"]),
            ("desc_show", 32, ["seq_printf"]),
        )
    ]
    monkeypatch.setattr(module_roles, "functions", lambda *_: code)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: {VICTIM + 16})
    return found


def flow(held: str = "page", bad: str = "non-canonical", **changes: Any) -> Any:
    step = made.flow_step("loaded", "desc_show", TEXT, "desc", agrees=True)
    kept = BytesPointer(Address(VICTIM + 8), SLOT.to_bytes(8, "little").hex())
    base = made.flow_step("loaded", "desc_show", SLOT, "desc", agrees=True, memory=kept)
    return made.data_flow(
        made.way(step, held_in=made.owner(SLOT, held)),
        made.way(replace(base, **changes), name="desc_current"),
        bad=made.owner(TEXT, bad),
    )


def lost(machine: Machine, flow: Any) -> LostMemory:
    found = collect(machine.session, flow, MODULES)
    assert isinstance(found, LostMemory)
    return found


def test_a_page_that_another_module_has_now(machine: Machine) -> None:
    found = lost(machine, flow())
    assert (found.kind, found.module, found.kept) == ("page of another", "desc", "desc_current")
    assert (found.other, found.other_variable) == ("cmdlog", "cmdlog_page")
    assert found.frees == ("desc_resize",)


def test_a_page_that_nobody_else_has_is_not_lost(machine: Machine) -> None:
    machine.words(OTHER, 1, PAGE + 4096, 0)
    assert isinstance(collect(machine.session, flow(), MODULES), Missing)


def test_a_free_page_needs_no_other_owner(machine: Machine) -> None:
    machine.words(OTHER, 1, 2, 3)
    assert lost(machine, flow("free-page")).kind == "free page"


def test_a_pointer_that_is_kept_no_more_says_nothing(machine: Machine) -> None:
    assert isinstance(collect(machine.session, flow(agrees=False), MODULES), Missing)
    assert isinstance(collect(machine.session, flow(memory=None), MODULES), Missing)


def test_a_good_pointer_in_the_page_says_nothing(machine: Machine) -> None:
    assert isinstance(collect(machine.session, flow(bad="slab"), MODULES), Missing)


def test_who_gives_areas_back_of_whomever_it_has_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several, who has the pointer kept comes first; who frees other memory is none."""
    code = {"desc_free": "kfree", "desc_drop": "vunmap", "desc_load": "release_firmware"}
    monkeypatch.setattr(
        module_roles,
        "functions",
        lambda *_: [
            ModuleFunction(name, VICTIM + 32 + at, frozenset([called]), frozenset(), copies=False)
            for at, (name, called) in enumerate(code.items())
        ],
    )
    sets = {"desc_load": frozenset({VICTIM + 8})}
    uses = {name: FieldUse((), (), counts=False, sets=sets.get(name, frozenset())) for name in code}
    monkeypatch.setattr(lost_memory, "uses_of", lambda *_: uses)
    gone = 0xFFFFC90000100000
    kept = BytesPointer(Address(VICTIM + 8), gone.to_bytes(8, "little").hex())
    step = made.flow_step("loaded", "desc_show", gone, "desc", agrees=True, memory=kept)
    held = made.owner(VICTIM + 8, "module")
    bad = made.owner(gone, "vmalloc-hole")
    flow = made.data_flow(made.way(step, name="desc_cursor", held_in=held), bad=bad)
    assert lost(machine, flow).frees == ("desc_load", "desc_drop")


def test_an_area_of_vmalloc_that_is_gone(machine: Machine) -> None:
    gone = 0xFFFFC90000100000
    kept = BytesPointer(Address(VICTIM + 8), gone.to_bytes(8, "little").hex())
    step = made.flow_step("loaded", "desc_show", gone, "desc", agrees=True, memory=kept)
    bad = made.owner(gone, "vmalloc-hole")
    found = lost(machine, made.data_flow(made.way(step, name="desc_cursor"), bad=bad))
    assert (found.kind, found.address, found.kept) == ("vmalloc area", gone, "desc_cursor")
    assert found.other is None

"""Who handed in the pointer that another module kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.modules import handed_in
from oopsight.evidence.modules.dependencies import Dependencies
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.handed_in import HandedIn, collect
from oopsight.evidence.modules.module_code import ModuleFunction

LOADED = made.flow_step("loaded", "reg_release", -2, "registry")
STEP = replace(LOADED, instruction=replace(LOADED.instruction, text="mov rdi, qword ptr [rbx + 8]"))
WAY = made.way(STEP, held_in=made.owner(0xFFFF888000001008, "slab"))
FLOW = made.data_flow(WAY)
MODULES = made.modules(
    made.module("registry", 0xFFFFFFFFC0300000, 0xFFFFFFFFC0301000, "O"),
    made.module("mirror", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0401000, "O"),
)
NEEDS = Dependencies((("mirror", "registry"),))


def storing(key: int = 8, *, given: bool = True) -> FieldUse:
    return FieldUse(
        (), (Stored(key, "value", None, given=given),), counts=False, sets=frozenset([key])
    )


def function(name: str, *calls: str) -> ModuleFunction:
    return ModuleFunction(name, 0x1000, frozenset(calls), frozenset(), copies=False)


def collected(
    monkeypatch: pytest.MonkeyPatch, uses: dict[str, FieldUse], needs: Any = NEEDS
) -> Any:
    code = {
        "registry": [function(name) for name in uses],
        "mirror": [function("mirror_open", "reg_add"), function("mirror_close", "reg_remove")],
    }
    monkeypatch.setattr(handed_in, "inner_functions", lambda _, module, __: code[module.name])
    monkeypatch.setattr(handed_in, "uses_of", lambda *_: uses)
    return collect(Machine().session, FLOW, MODULES, needs)


def test_who_calls_what_stores_an_argument_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, {"reg_add": storing(), "reg_remove": storing(16)})
    assert found == HandedIn("reg_add", (("mirror", "mirror_open"),))


def test_what_the_module_made_itself_was_not_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch, {"reg_add": storing(given=False)}), Missing)


def test_nobody_uses_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch, {"reg_add": storing()}, Dependencies(())), Missing)

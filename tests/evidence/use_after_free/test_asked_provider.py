"""Who was told that an object goes, and whose module went on to use it."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.memory.object_users import ModuleUse, ObjectUsers
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import asked_provider
from oopsight.evidence.use_after_free.asked_provider import AskedProvider, collect
from oopsight.evidence.use_after_free.still_registered import StillRegistered

MODULES = made.modules(
    made.module("zone", 0xFFFFFFFFC0300000, 0xFFFFFFFFC0301000, "O"),
    made.module("hub", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0401000, "O"),
)
ZONE, ENTRY = Value("loaded", 0x20, Value("argument", 1)), Value("loaded", 0x8, None)
STEP = made.flow_step("passed", "hub_measure", 0x1000, "hub")
FLOW = made.data_flow(made.way(STEP, module="zone", function="zone_fix", ended="loaded"))


def use(**changes: Any) -> FieldUse:
    return FieldUse(**{"frees": (), "stores": (), "counts": False, **changes})


def function(name: str, *calls: str) -> ModuleFunction:
    return ModuleFunction(name, 0x1000, frozenset(calls), frozenset(), copies=False)


def found(monkeypatch: pytest.MonkeyPatch, told: str, given: Value = ZONE, **changes: Any) -> Any:
    call = Handed(8, told, own=False, arguments=(Value("number", 1), given))
    uses = {
        "zone": {"zone_drop": use(freed=((0x10, ZONE),), handed=(call,))},
        "hub": {
            "hub_subscribe": use(cleared=((0x8, 0x20),)),
            "hub_unsubscribe": use(taken_off=((ENTRY, 0),)),
            "hub_show": use(),
        },
    }
    code = {
        "zone": [function("zone_drop")],
        "hub": [
            function("hub_subscribe", "kmalloc_trace"),
            function("hub_unsubscribe"),
            function("hub_show"),
        ],
    }
    monkeypatch.setattr(asked_provider, "inner_functions", lambda _, m, __: code[m.name])
    monkeypatch.setattr(
        asked_provider, "uses_of", lambda _, c: uses["hub" if len(c) > 1 else "zone"]
    )
    frees = ModuleUse("zone", "by hand", None, ("zone_drop",), (), (), **changes)
    users = ObjectUsers("freed", "by hand", made.slab_object("free"), None, (frees,))
    return collect(Machine().session, users, FLOW, MODULES)


def test_who_should_have_forgotten_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, "hub_unsubscribe") == AskedProvider(
        "hub", "hub_unsubscribe", "zone_drop"
    )


def test_who_was_told_by_one_only_is_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    other = (StillRegistered("zone_add", "hub_subscribe"),)
    assert isinstance(found(monkeypatch, "hub_unsubscribe", registered=other), Missing)


def test_who_was_told_of_another_or_forgets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(found(monkeypatch, "hub_unsubscribe", ENTRY), Missing)
    assert isinstance(found(monkeypatch, "hub_subscribe"), Missing)
    assert isinstance(found(monkeypatch, "hub_show"), Missing)
    assert isinstance(found(monkeypatch, "kfree"), Missing)

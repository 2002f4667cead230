"""Who kept a pointer to what a module that is gone had, and whom that one told to give it up."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import TEXT
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.modules import pointer_keeper
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.former_owner import FormerOwner
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.pointer_keeper import PointerKeeper, collect

GONE = Address(TEXT + 0x9010)
OWNER = FormerOwner("meter", True, (), (), GONE, (), None, True, None, None, (), True)


def function(name: str, *calls: str) -> ModuleFunction:
    return ModuleFunction(name, TEXT, frozenset(calls), frozenset(), copies=False)


def kept(
    monkeypatch: pytest.MonkeyPatch,
    imports: frozenset[str] | None,
    taints: str = "O",
    owner: Any = OWNER,
) -> PointerKeeper | Missing:
    inner = [
        function("bus_join", "kmalloc_trace"),
        function("bus_leave", "__list_del_entry_valid", "kfree"),
        function("bus_drop"),
        function("bus_deliver"),
    ]
    unlinks = FieldUse((), (), counts=False, unlinks=True)
    monkeypatch.setattr(pointer_keeper, "SessionReader", lambda _: None)
    monkeypatch.setattr(pointer_keeper, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(pointer_keeper, "uses_of", lambda *_: {"bus_drop": unlinks})
    monkeypatch.setattr(pointer_keeper, "imports_of", lambda *_: imports)
    modules = made.modules(made.module("bus", TEXT, TEXT + 0x5000, taints))
    step = made.flow_step("loaded", "bus_deliver", GONE, module="bus")
    return collect(Machine().session, made.data_flow(made.way(step)), modules, owner)


@pytest.mark.parametrize(
    ("imports", "takes_back"),
    [
        ({"bus_join", "bus_leave", "kfree"}, ("bus_leave",)),
        ({"bus_join", "bus_drop"}, ("bus_drop",)),
        ({"bus_join", "kfree"}, ()),
    ],
)
def test_what_the_module_called_to_have_it_taken_back(
    monkeypatch: pytest.MonkeyPatch, imports: set[str], takes_back: tuple[str, ...]
) -> None:
    found = kept(monkeypatch, frozenset(imports))
    assert found == PointerKeeper("bus", "bus_deliver", known=True, takes_back=takes_back)


def test_without_its_file_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept(monkeypatch, None) == PointerKeeper(
        "bus", "bus_deliver", known=False, takes_back=()
    )


def test_the_tree_s_own_modules_are_no_suspects(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(kept(monkeypatch, None, taints=""), Missing)
    assert isinstance(kept(monkeypatch, None, owner=made.ABSENT), Missing)

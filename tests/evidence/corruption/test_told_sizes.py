"""What the kernel was told of memory that it writes to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import told_sizes as collector
from oopsight.evidence.corruption.told_sizes import Told, ToldSizes, collect
from oopsight.evidence.modules.module_code import ModuleFunction

ONE = made.slab_object()
FIELD = int(ONE.address) + 0x20
HELD = made.owner(FIELD, "slab", slab=ONE)
STEP = made.flow_step("loaded", "lamp_drive", 0xFFFFFFFF00000000, "lamp")
FLOW = made.data_flow(
    made.way(STEP, module="lamp", held_in=HELD), bad=made.owner(0xFFFFFFFF00000000, "unknown")
)
MODULES = made.modules(made.module("lamp", TEXT, TEXT + 0x2000, "O"))
LIMIT = Told(
    "debugfs file 'limit'",
    Address(FIELD - 4),
    8,
    Address(0xFFFF888000090000),
    ("debugfs_create_u64",),
)
TEXT_ = replace(LIMIT, size=193, by=("register_sysctl*",), stored=True)


def found(monkeypatch: pytest.MonkeyPatch, told: Told, *calls: str) -> Any:
    # lea rcx,[rdi+0x1c]; call f2; ret, and the same from another place
    code = Code("488d4f1c e8f71f0000 c3", "488d4f40 e8f70f0000 c7430fc1000000 c3", "c3")
    code.names = ["lamp_debug", "lamp_more", "debugfs_create_u64"]
    inner = [
        ModuleFunction(name, code.start(number), frozenset(calls), frozenset(), copies=False)
        for number, name in enumerate(code.names[:2])
    ]
    monkeypatch.setattr(collector, "SessionReader", lambda _: code)
    monkeypatch.setattr(collector, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(collector, "_all_told", lambda *_: iter([told]))
    monkeypatch.setattr(collector, "init_function", lambda *_: "lamp_init")
    return collect(Machine().session, FLOW, made.ABSENT, MODULES)


def test_who_told_of_a_number_that_is_wider_than_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch, LIMIT, "debugfs_create_u64")
    assert isinstance(one, ToldSizes)
    assert (one.module, one.functions) == ("lamp", ("lamp_debug",))
    # Whoever tells such things was the initialisation.
    assert found(monkeypatch, LIMIT).functions == ("lamp_init",)


def test_who_stores_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, TEXT_).functions == ("lamp_more",)


def test_what_ends_before_the_pointer_or_is_the_pointer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(found(monkeypatch, replace(LIMIT, size=4)), Missing)
    assert isinstance(found(monkeypatch, replace(LIMIT, data=Address(FIELD))), Missing)

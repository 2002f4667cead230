"""Text where a pointer should be, and who can have written it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_facts import data_flow, flow_step, module, modules, owner, slab_object, way

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption.text_writers import TextWriters, collect
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

TEXT = int.from_bytes(b"boiler-2", "little")
BASE = 0xFFFFFFFFC0400000
LOADED = modules(
    module("pid", BASE, BASE + 0x1000, "O"), module("fat", BASE + 0x2000, BASE + 0x3000)
)


@pytest.fixture(autouse=True)
def _code(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        ModuleFunction("pid_tick", BASE, frozenset({"mod_timer"}), frozenset(), False),
        ModuleFunction("pid_set", BASE + 9, frozenset({"_copy_from_user"}), frozenset(), False),
    )
    monkeypatch.setattr(module_roles, "functions", lambda *_: code)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())


def flow(value: int, *, reader: str | None = None, refers: str | None = None) -> DataFlow:
    memory = BytesPointer(Address(8), "")
    refs = (Reference(0, Address(BASE), "pid_tick", refers, memory),) if refers else ()
    held = owner(0xFFFF888000040010, "slab", slab=slab_object(refers=refs))
    step = flow_step("loaded", "pid_tick", value, reader)
    return data_flow(way(step, held_in=held), subject="target")


@pytest.mark.parametrize(("reader", "refers"), [("pid", None), (None, "pid")])
def test_who_copies_memory_is_named(reader: str | None, refers: str | None) -> None:
    session: Any = SimpleNamespace(prog=SimpleNamespace(cache={}))
    found = collect(session, flow(TEXT, reader=reader, refers=refers), LOADED)
    assert isinstance(found, TextWriters)
    assert (found.text, found.module.name, found.functions) == ("boiler-2", "pid", ("pid_set",))


@pytest.mark.parametrize(
    ("value", "reader"),
    [(0xFFFF888000041000, "pid"), (TEXT, "fat"), (TEXT, None), (0x414243, "pid")],
)
def test_anything_else_is_not(value: int, reader: str | None) -> None:
    session: Any = SimpleNamespace(prog=SimpleNamespace(cache={}))
    assert isinstance(collect(session, flow(value, reader=reader), LOADED), Missing)


def test_a_pointer_in_a_variable_too() -> None:
    held = owner(BASE + 0x800, "module", module="pid")
    step = flow_step("loaded", "pid_tick", TEXT)
    flow = data_flow(way(step, held_in=held), subject="target")
    text = b"upper-boiler and the lower one"
    for before, run in ((bytes(118) + text, True), (bytes(128) + text[:8], False)):
        memory = before[:136].ljust(136, b"\0")
        session: Any = SimpleNamespace(
            prog=SimpleNamespace(cache={}), read=lambda _, size, data=memory: data[:size]
        )
        found = collect(session, flow, LOADED)
        assert isinstance(found, TextWriters)
        assert found.functions == ("pid_set",)
        assert (found.run is not None) is run
        assert found.run is None or found.run.address == BASE + 0x800 - 10

"""Who can have left on what the kernel found on already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules import uneven_switches as tested
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.uneven_switches import UnevenSwitches, collect

MODULES = made.modules(
    made.module("bus", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0401000, "O"),
    made.module("virtio_net", 0xFFFFFFFFC0500000, 0xFFFFFFFFC0501000),
)
TRAP = made.fault(None, exception="invalid_op", function="napi_enable")


def collected(
    monkeypatch: pytest.MonkeyPatch,
    *uneven: str,
    switch: str = "napi_enable",
    module: str = "bus",
    partly: tuple[str, ...] = (),
) -> Any:
    asked: list[str] = []

    class Search:
        def __init__(self, *of: Any) -> None:
            asked.append(of[2])

        def partly(self) -> tuple[str, ...]:
            return partly

        def uneven(self) -> tuple[str, ...]:
            return uneven

    monkeypatch.setattr(tested, "Search", Search)
    monkeypatch.setattr(tested, "inner_functions", lambda *_: [])
    trace = made.backtrace(**{switch: Role.FAULT}, bus_open=Role.CALLER)
    frames = (trace.frames[0], replace(trace.frames[1], module=module))
    found = collect(Machine().session, TRAP, replace(trace, frames=frames), MODULES)
    assert asked in ([], ["polling"], ["interrupt"])
    return found


@pytest.mark.parametrize("switch", ["napi_enable", "enable_irq"])
def test_its_functions_are_named(monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    found = collected(monkeypatch, "bus_change_mtu", switch=switch)
    assert found == UnevenSwitches("bus", switch, ("bus_change_mtu",))


def test_a_helper_that_switches_off_on_some_ways_only_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = collected(monkeypatch, "bus_change_mtu", partly=("bus_halt",))
    assert found.functions == ("bus_halt",)
    assert found.why.startswith("switches off on some ways only")


def test_else_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch), Missing)
    assert isinstance(collected(monkeypatch, "f", switch="skb_put"), Missing)
    assert isinstance(collected(monkeypatch, "f", module="virtio_net"), Missing)


FUNCTIONS = {
    "bus_start": ("napi_enable", ()),
    "bus_halt": ("napi_disable", ()),
    "bus_open": (None, ("bus_start",)),
    "bus_stop": (None, ("bus_halt",)),
    "bus_resume": (None, ("bus_start",)),
    "bus_change_mtu": (None, ("bus_halt", "bus_start")),
}


@pytest.mark.parametrize(
    ("caller", "without", "found"),
    [
        ("bus_resume", "", True),
        # The kernel calls it in turn with one that switches off.
        ("bus_open", "", False),
        ("bus_change_mtu", "", False),
        # Nobody that calls the helper switches off before.
        ("bus_resume", "bus_change_mtu", False),
    ],
)
def test_who_never_switches_off(
    monkeypatch: pytest.MonkeyPatch, caller: str, without: str, found: bool
) -> None:
    class Search:
        def __init__(self, *_: Any) -> None:
            pass

        def partly(self) -> tuple[str, ...]:
            return ()

        def uneven(self) -> tuple[str, ...]:
            return ()

    code = [
        ModuleFunction(
            name,
            0xFFFFFFFFC0400000 + 0x40 * number,
            frozenset({*own, *((outside,) if outside else ())}),
            frozenset(),
            copies=False,
            own=frozenset(own),
        )
        for number, (name, (outside, own)) in enumerate(FUNCTIONS.items())
        if name != without
    ]
    starts = {one.name: one.start for one in code}
    table = 0xFFFFFFFFC0400800
    machine = Machine()
    machine.symbols[table] = ("bus_ops", 24)
    machine.words(table, *(starts.get(n, 0) for n in ("bus_open", "bus_stop", "bus_change_mtu")))
    monkeypatch.setattr(tested, "Search", Search)
    monkeypatch.setattr(tested, "inner_functions", lambda *_: code)
    tables = {starts[n]: {table} for n in ("bus_open", "bus_stop")}
    monkeypatch.setattr(tested, "tables_with", lambda _, __, start: tables.get(start, set()))
    trace = made.backtrace(napi_enable=Role.FAULT, bus_start=Role.CALLER, **{caller: Role.CALLER})
    frames = tuple(replace(f, module="bus" if f.index else None) for f in trace.frames)
    one = collect(machine.session, TRAP, replace(trace, frames=frames), MODULES)
    assert isinstance(one, UnevenSwitches) is found
    assert not found or one.functions == (caller,)


def test_a_check_of_the_function_that_switches_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Search:
        def __init__(self, *of: Any) -> None:
            assert of[2] == "timer"

        def partly(self) -> tuple[str, ...]:
            return ()

        def uneven(self) -> tuple[str, ...]:
            return ("set_interval",)

    start = ModuleFunction(
        "start", 0xFFFFFFFFC0400000, frozenset({"add_timer"}), frozenset(), copies=False
    )
    monkeypatch.setattr(tested, "Search", Search)
    monkeypatch.setattr(tested, "inner_functions", lambda *_: [start])
    trace = made.backtrace(start=Role.FAULT, open=Role.CALLER)
    frames = tuple(replace(one, module="bus") for one in trace.frames)
    found = collect(Machine().session, TRAP, replace(trace, frames=frames), MODULES)
    assert found == UnevenSwitches("bus", "add_timer", ("set_interval",))

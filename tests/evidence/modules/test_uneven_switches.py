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
from oopsight.evidence.modules.uneven_switches import UnevenSwitches, collect

MODULES = made.modules(
    made.module("bus", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0401000, "O"),
    made.module("virtio_net", 0xFFFFFFFFC0500000, 0xFFFFFFFFC0501000),
)
TRAP = made.fault(None, exception="invalid_op", function="napi_enable")


def collected(
    monkeypatch: pytest.MonkeyPatch, *uneven: str, switch: str = "napi_enable", module: str = "bus"
) -> Any:
    asked: list[str] = []

    class Search:
        def __init__(self, *of: Any) -> None:
            asked.append(of[2])

        def uneven(self) -> tuple[str, ...]:
            return uneven

    monkeypatch.setattr(tested, "Search", Search)
    trace = made.backtrace(**{switch: Role.FAULT}, bus_open=Role.CALLER)
    frames = (trace.frames[0], replace(trace.frames[1], module=module))
    found = collect(Machine().session, TRAP, replace(trace, frames=frames), MODULES)
    assert asked in ([], ["polling"], ["interrupt"])
    return found


@pytest.mark.parametrize("switch", ["napi_enable", "enable_irq"])
def test_its_functions_are_named(monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    found = collected(monkeypatch, "bus_change_mtu", switch=switch)
    assert found == UnevenSwitches("bus", switch, ("bus_change_mtu",))


def test_else_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch), Missing)
    assert isinstance(collected(monkeypatch, "f", switch="skb_put"), Missing)
    assert isinstance(collected(monkeypatch, "f", module="virtio_net"), Missing)

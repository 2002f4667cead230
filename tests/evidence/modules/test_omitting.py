"""Who makes objects and has a part of them set up on some ways only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_driver import DRIVER, MODULES, Driver

from oopsight.evidence.modules import module_roles, omitting

SLAB = made.slab_object(size=512)
# rax = kmalloc(); if (!rax) return -12; set_up(rax); return 0
OPEN = ("call kmalloc_trace", "4885c0 7504 b0f4 c3 90 4889c7", "call set_up", "31c0 c3")
AT_TIMES = "4885f6 7404 48897720 c3"  # if (rsi) [rdi + 0x20] = rsi; return
ALWAYS = "48897720 c3"
NEVER = "48897768 c3"


@pytest.mark.parametrize(
    ("helper", "blamed"), [(AT_TIMES, ("set_up",)), (ALWAYS, ()), (NEVER, ("drv_open",))]
)
def test_a_helper_that_sets_it_up(
    monkeypatch: pytest.MonkeyPatch, helper: str, blamed: tuple[str, ...]
) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    maker = SimpleNamespace(function="drv_open")
    monkeypatch.setattr(omitting, "allocating", lambda *_: ((maker,), True))
    driver: Any = Driver(drv_open=OPEN, set_up=(helper,))
    found = omitting.setting_at_times(driver.session, MODULES, DRIVER, SLAB, 0x18, 32)
    assert found == blamed

"""What the kernel warned of, and who set that up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.modules import warned_object
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.warned_object import WarnedObject, collect

FAULT = made.fault(None, exception="invalid_op", function="device_release", module=None)
DRIVER = made.modules(made.module("drv", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0001000, "OE"))
NAME = 0xFFFFFFFFC0000800
RELEASE = 0xFFFFFFFFC0000400


def trace(*kernel: str) -> Backtrace:
    roles = dict.fromkeys((*kernel, "drv_eject"), Role.CALLER)
    found = made.backtrace(**{**roles, kernel[0]: Role.FAULT})
    frames = [*found.frames[:-1], made.frame(len(kernel), "drv_eject", Role.CALLER, "drv")]
    return Backtrace(tuple(frames), found.registers, found.interrupted, found.exception)


def function(name: str, *calls: str, start: int = 0, refers: int | None = None) -> ModuleFunction:
    taken = frozenset(() if refers is None else (refers,))
    return ModuleFunction(name, start, frozenset(calls), taken, copies=False)


def found(
    monkeypatch: pytest.MonkeyPatch, path: Backtrace, *code: ModuleFunction, rdi: int | None = None
) -> Any:
    context = SimpleNamespace(at=0)
    known = SimpleNamespace(
        frames=[SimpleNamespace(index=one.index) for one in path.frames],
        context=lambda _: context,
        tracer=SimpleNamespace(value=lambda *_: rdi),
    )
    monkeypatch.setattr(warned_object, "calls", lambda *_: known)
    monkeypatch.setattr(warned_object, "inner_functions", lambda *_: list(code))
    made_up = Machine()
    made_up.memory[NAME & ~0xFFF] = (b"\0" * (NAME & 0xFFF) + b"drv_mode").ljust(0x1000, b"\0")
    return collect(made_up.session, FAULT, path, DRIVER)


def test_who_registers_devices_and_takes_the_address_of_no_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (
        function("drv_good", "device_register", refers=RELEASE),
        function("drv_create", "kzalloc", "device_register"),
        function("drv_release", "kfree", start=RELEASE),
    )
    one = found(monkeypatch, trace("device_release", "kobject_put"), *code)
    assert isinstance(one, WarnedObject)
    assert one.setters == ("drv_create", "drv_good")
    assert one.told is None


def test_who_makes_objects_and_initialises_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        function("drv_open", "__kmalloc_cache_noprof"),
        function("drv_probe", "kmalloc_trace", "init_timer_key"),
        function("drv_start", "add_timer"),
    )
    one = found(monkeypatch, trace("add_timer"), *code)
    assert one.setters == ("drv_open",)
    many = [function(f"drv_{i}", "kmalloc_trace") for i in range(4)]
    assert found(monkeypatch, trace("add_timer"), *many).setters == ()


def test_what_the_call_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for rdi, told in ((5, "5"), (NAME, "'drv_mode'"), (NAME + 8, None), (0, None), (None, None)):
        one = found(monkeypatch, trace("free_irq"), rdi=rdi)
        assert one == WarnedObject("drv", told)
    assert found(monkeypatch, trace("free_irq"), rdi=0xFFFF888000001000).told is None


def test_only_warnings_of_the_kernels_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    own = made.fault(None, exception="invalid_op", function="drv_check", module="drv")
    path = trace("device_release")
    assert isinstance(collect(Machine().session, own, path, DRIVER), Missing)
    alone = made.backtrace(device_release=Role.FAULT)
    assert isinstance(found(monkeypatch, alone), Missing)

"""What the kernel warned of, and who set that up."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.modules import warned_object
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
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


def test_who_makes_the_object_and_leaves_out_the_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    slab = made.slab_object()
    held = made.owner(int(slab.address) + 8, "slab", slab=slab, offset=8)
    asked: list[Any] = []

    def omitting(*arguments: Any) -> tuple[str, ...]:
        asked.append(arguments)
        return ("drv_clone",)

    monkeypatch.setattr(warned_object, "owner_of", lambda *_: held)
    monkeypatch.setattr(warned_object, "uses_of", lambda *_: {})
    monkeypatch.setattr(warned_object, "omitting", omitting)
    one = found(monkeypatch, trace("__mod_timer"), rdi=int(held.address))
    assert one.setters == ("drv_clone",)
    assert (asked[0][4], asked[0][-1]) == (8, 40)
    monkeypatch.setattr(warned_object, "omitting", lambda *_: ())
    monkeypatch.setattr(warned_object, "setting_at_times", lambda *_: ("drv_open",))
    one = found(monkeypatch, trace("__mod_timer"), rdi=int(held.address))
    assert (one.setters, "on some ways" in one.why) == (("drv_open",), True)
    # Not who makes it sets it up, but another.
    channel = Value("inner", 8, Value("argument", 1))
    call = Handed(8, "init_timer_key", own=False, arguments=(channel,))
    later = FieldUse((), (), counts=False, handed=(call,))
    monkeypatch.setattr(warned_object, "uses_of", lambda *_: {"drv_set_mode": later})
    monkeypatch.setattr(warned_object, "Ownership", lambda *_: None)
    monkeypatch.setattr(warned_object, "siblings", lambda *_: ())
    one = found(monkeypatch, trace("__mod_timer"), rdi=int(held.address))
    assert one.setters == ("drv_set_mode",)
    # Another is handed it in its place.
    monkeypatch.setattr(warned_object, "siblings", lambda *_: ("drv_set_plain",))
    one = found(monkeypatch, trace("__mod_timer"), rdi=int(held.address))
    assert one.setters == ("drv_set_plain",)


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


def test_the_argument_of_a_call_by_who_jumped_on(monkeypatch: pytest.MonkeyPatch) -> None:
    path = trace("__queue_work", "queue_work_on")
    frame = path.frames[-1]
    contexts = [SimpleNamespace(at=number) for number in range(3)]
    known = SimpleNamespace(
        frames=[SimpleNamespace(index=one.index) for one in path.frames],
        context=contexts.__getitem__,
        tracer=SimpleNamespace(
            value=lambda context, *_: ("value", context.at),
            entering=lambda context, _: ("entering", context.at),
        ),
    )
    monkeypatch.setattr(warned_object, "calls", lambda *_: known)
    session = Machine().session
    assert warned_object._argument(session, path, frame, "rdx") == ("value", 2)
    jumped = replace(frame, function="drv_watch")
    assert warned_object._argument(session, path, jumped, "rdx") == ("entering", 1)


OBJECT = Value("argument", 1)
ID = Value("loaded", 0x20, OBJECT)


@pytest.mark.parametrize(
    ("other", "left"),
    [
        ({}, True),
        # It stores something there, frees what has the field, or gives back another.
        ({"sets": frozenset([0x20])}, False),
        ({"freed": ((9, OBJECT),)}, False),
        ({"handed": (Handed(4, "ida_free", False, (Value("loaded", 0x28, OBJECT),)),)}, False),
    ],
)
def test_who_gave_back_the_same_and_left_it(
    monkeypatch: pytest.MonkeyPatch, other: dict[str, Any], left: bool
) -> None:
    call = Handed(4, "ida_free", False, (Value("number", 1), ID))
    use = FieldUse((), (), counts=False, handed=(call,))
    uses = {"drv_eject": replace(use, freed=((8, OBJECT),)), "drv_expire": replace(use, **other)}
    monkeypatch.setattr(warned_object, "uses_of", lambda *_: uses)
    code = (function("drv_eject", "ida_free", "kfree"), function("drv_expire", "ida_free"))
    one = found(monkeypatch, trace("ida_free"), *code, rdi=RELEASE)
    assert one.setters == (("drv_expire",) if left else ())
    assert one.given_back
    alone = found(monkeypatch, trace("ida_free"), code[0], rdi=RELEASE)
    assert not alone.given_back

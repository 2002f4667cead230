"""Driver data that no function of the driver ever stores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_driver import DRIVER, Driver

from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules import module_roles, never_stored
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.field_keys import Layout
from oopsight.evidence.modules.module_roles import inner_functions

RET = "c3"
KNOWN = Layout(frozenset([0x78]), frozenset())
USE = FieldUse((), (), counts=False)
STORES = FieldUse((), (Stored(0x78, "fresh", "kmalloc"),), counts=False, sets=frozenset([0x78]))


def found(
    monkeypatch: pytest.MonkeyPatch, uses: dict[str, FieldUse], offset: str = "0x78", value: int = 0
) -> tuple[str, ...]:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    driver = Driver(
        pins_new=("call kmalloc_trace", RET),
        pins_probe=("call pins_new", RET),
        pins_remove=(RET,),
        pins_show=("call kmalloc_trace", RET),
    )
    driver.table("pins_driver", 32, {0: "pins_probe", 8: "pins_remove"})
    code = inner_functions(driver.session, DRIVER)
    monkeypatch.setattr(never_stored, "tables_with", lambda *_: {next(iter(tables(driver)))})
    step = made.flow_step("loaded", "pins_remove", value, "drv")
    text = f"mov rdi, qword ptr [rdi + {offset}]"
    step = replace(step, instruction=replace(step.instruction, text=text))
    way = made.way(step, module="drv", function="pins_remove", ended="loaded")
    path = made.backtrace(pins_remove=Role.FAULT)
    return never_stored.never_stored(driver.session, DRIVER, way, path, uses, code, KNOWN)


def tables(driver: Driver) -> list[int]:
    return [at for at, (name, _) in driver.symbols.items() if name == "pins_driver"]


def test_who_makes_what_belongs_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, {"pins_probe": USE}) == ("pins_probe",)


def test_somebody_stores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, {"pins_new": STORES}) == ()


@pytest.mark.parametrize("other", [{"offset": "0x70"}, {"value": 0x1000}])
def test_no_driver_data(monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]) -> None:
    assert found(monkeypatch, {"pins_probe": USE}, **other) == ()


@pytest.mark.parametrize(
    ("offset", "other", "names"),
    [
        ("0x78", Value("argument", 1), ("pins_radio",)),
        ("0x78", Value("number", 0), ()),  # that is how it is meant
        ("0x70", Value("argument", 1), ()),  # no field of a device's
    ],
)
def test_who_tells_the_kernel_null_where_others_tell_it_something(
    offset: str, other: Value, names: tuple[str, ...]
) -> None:
    step = made.flow_step("loaded", "pins_show", 0, "drv")
    text = f"mov rdi, qword ptr [rdi + {offset}]"
    step = replace(step, instruction=replace(step.instruction, text=text))
    way = made.way(step, module="drv", function="pins_show", ended="loaded")

    def creating(data: Value) -> FieldUse:
        arguments = (*[Value("unknown", 0)] * 3, data, *[Value("unknown", 0)] * 2)
        return replace(USE, handed=(Handed(0, "device_create", False, arguments),))

    uses = {"pins_radio": creating(Value("number", 0)), "pins_wired": creating(other)}
    assert never_stored.handing_none(way, uses, KNOWN, "drv") == names
    assert never_stored.handing_none(way, {**uses, "pins_new": STORES}, KNOWN, "drv") == ()

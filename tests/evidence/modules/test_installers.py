"""Who puts an object in place and leaves its field as it is, where others set it."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest

from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.installers import installing
from oopsight.evidence.modules.module_code import ModuleFunction


def way(value: int, text: str) -> Way:
    step = made.flow_step("loaded", "pool_show", value, "pool")
    step = replace(step, instruction=replace(step.instruction, text=f"mov rax, qword ptr {text}"))
    return made.way(step, module="pool", function="pool_show", ended="loaded")


LABEL, OPTIONS = way(0, "[rax + 8]"), way(0xFFFF888000001000, "[rax + 0x10]")
CODE = [
    ModuleFunction("pool_fill", 0x1000, frozenset(["pool_default"]), frozenset(), copies=False),
    ModuleFunction("pool_default", 0x1100, frozenset(), frozenset(), copies=False),
    ModuleFunction("pool_remount", 0x1200, frozenset(), frozenset(), copies=False),
]


def use(*, places: str | None = None, sets: tuple[int, ...] = ()) -> FieldUse:
    stores = (Stored(0x10, places, None),) if places else ()
    keys = frozenset(sets) | {one.key for one in stores}
    return FieldUse((), stores, counts=False, sets=keys)


def test_who_leaves_the_field_of_what_it_puts_in_place() -> None:
    uses = {
        "pool_fill": use(places="value"),
        "pool_default": use(sets=(8,)),
        "pool_remount": use(places="value"),
        "pool_free": use(places="zero"),
    }
    assert installing((LABEL, OPTIONS), uses, CODE) == ("pool_remount",)
    uses["pool_remount"] = use(places="value", sets=(8,))
    assert installing((LABEL, OPTIONS), uses, CODE) == ()


def test_where_nobody_sets_it_so_it_is_set_elsewhere() -> None:
    uses = {"pool_fill": use(places="value"), "pool_remount": use(places="value")}
    assert installing((LABEL, OPTIONS), uses, CODE) == ()


@pytest.mark.parametrize("ways", [(LABEL,), (way(0x10, "[rax + 8]"), OPTIONS)])
def test_no_null_from_an_object_that_a_field_led_to(ways: tuple[Way, ...]) -> None:
    uses = {"pool_fill": use(places="value", sets=(8,)), "pool_remount": use(places="value")}
    assert installing(ways, uses, CODE) == ()

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
    on_stack = replace(OPTIONS, held_in=made.owner(0xFFFFC90000003E10, "stack"))
    assert installing((LABEL, on_stack), uses, CODE) == ()
    uses["pool_remount"] = use(places="value", sets=(8,))
    assert installing((LABEL, OPTIONS), uses, CODE) == ()


def test_where_nobody_sets_it_so_it_is_set_elsewhere() -> None:
    uses = {"pool_fill": use(places="value"), "pool_remount": use(places="value")}
    assert installing((LABEL, OPTIONS), uses, CODE) == ()


@pytest.mark.parametrize("ways", [(LABEL,), (way(0x10, "[rax + 8]"), OPTIONS)])
def test_no_null_from_an_object_that_a_field_led_to(ways: tuple[Way, ...]) -> None:
    uses = {"pool_fill": use(places="value", sets=(8,)), "pool_remount": use(places="value")}
    assert installing(ways, uses, CODE) == ()


def test_of_lists_in_variables_only_the_one_that_was_walked() -> None:
    head = 0xFFFFFFFFC0002000
    tail = Stored(head + 8, "fresh", "kmalloc")
    link = Stored(0, "fresh", "kmalloc")
    sets = frozenset([0, 8])
    uses = {
        "pool_fill": FieldUse((), (tail, link), counts=False, sets=sets),
        "pool_label": FieldUse((), (tail, link), counts=False, sets=frozenset([0])),
    }
    walked = way(0xFFFF888000001000, "[rax]")

    def code(refers: int) -> list[ModuleFunction]:
        return [*CODE, ModuleFunction("pool_show", 0x1300, frozenset(), frozenset([refers]), False)]

    assert installing((LABEL, walked), uses, code(head)) == ("pool_label",)
    assert installing((LABEL, walked), uses, code(head + 0x40)) == ()


def test_where_both_fields_are_as_far_from_their_objects() -> None:
    def stores(filled: frozenset[int] | None) -> FieldUse:
        return FieldUse((), (Stored(8, "value", None, filled=filled),), counts=False)

    ways = (LABEL, way(0xFFFF888000001000, "[rax + 8]"))
    uses = {
        "pool_fill": stores(frozenset([8, 0x10])),
        "pool_remount": stores(frozenset()),
        # A text, say, which it never looks into: that is the label itself.
        "pool_parse": stores(None),
    }
    assert installing(ways, uses, CODE) == ("pool_remount",)
    uses["pool_remount"] = stores(frozenset([8]))
    assert installing(ways, uses, CODE) == ()

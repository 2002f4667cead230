"""Which module embeds something of the kernel's in its objects."""

from __future__ import annotations

from typing import Any

import pytest
from handmade_facts import data_flow, flow_step, module, modules, slab_object, way

from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import embedding
from oopsight.evidence.use_after_free.callback_registries import registry_of
from oopsight.evidence.use_after_free.embedding import embedders, places_in
from oopsight.plumbing import base_name

BASE, OTHER = 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000
LOADED = modules(module("mb", BASE, BASE + 0x100, "O"), module("by", OTHER, OTHER + 0x100, "O"))
OBJECT = slab_object("free", poisoned=True)
CODE = {
    BASE: b"\x48\x8d\x7b\x38\xc3",  # lea rdi, [rbx + 0x38]; ret
    BASE + 0x40: b"\xc3",
    OTHER: b"\x48\x8d\x7c\x24\x38\xc3",  # lea rdi, [rsp + 0x38]; ret
}


class Reader:
    """Functions of one return each."""

    def function(self, address: int) -> tuple[str, int, int] | None:
        return ("", address, len(CODE[address])) if address in CODE else None

    def read(self, address: int, size: int) -> bytes:
        return CODE[address][:size]


def function(name: str, start: int, *calls: str) -> ModuleFunction:
    return ModuleFunction(name, start, frozenset(calls), frozenset(), False)


@pytest.fixture(autouse=True)
def _modules(monkeypatch: pytest.MonkeyPatch) -> None:
    code = {
        "mb": [
            function("mb_open", BASE, "kmalloc_trace", "kfree"),
            function("mb_close", BASE + 0x40, "kfree"),
        ],
        "by": [function("by_free", OTHER, "kfree")],
    }
    monkeypatch.setattr(embedding, "inner_functions", lambda _, one, __: code[one.name])
    makes = {"mb": ((Allocator("mb_open", "mb_open+0x8"),), True)}
    monkeypatch.setattr(
        embedding, "allocating", lambda _, __, one, *___: makes.get(one.name, ((), False))
    )


def found(*places: int) -> list[tuple[str, tuple[str, ...]]]:
    reader: Any = Reader()
    return [(e.module, e.frees) for e in embedders(reader, LOADED, reader, OBJECT, places)]


def test_who_computes_the_place_and_makes_such_objects_comes_alone() -> None:
    assert found(0x38) == [("mb", ("mb_close", "mb_open"))]
    # A work item's entry lies behind its first word.
    assert found(0x40) == [("mb", ("mb_close", "mb_open"))]


def test_where_nobody_computes_it_who_makes_such_objects_is_left() -> None:
    assert found(0x18) == [("mb", ("mb_close", "mb_open"))]


def test_what_the_kernel_took_it_for_tells_who_has_to_do_with_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timer = registry_of(way(flow_step("loaded", "x"), name="struct timer_list.entry"))
    code = {
        "mb": [function("mb_free", BASE, "kfree")],
        "by": [function("by_free", OTHER, "kfree"), function("by_stop", OTHER, "del_timer_sync")],
    }
    monkeypatch.setattr(embedding, "inner_functions", lambda _, one, __: code[one.name])
    monkeypatch.setattr(embedding, "allocating", lambda *_: ((), False))
    reader: Any = Reader()
    (one,) = embedders(reader, LOADED, reader, OBJECT, (), timer)
    assert (one.module, one.frees) == ("by", ("by_free",))


def test_who_makes_known_what_it_has_allocated_by_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = Value("returned", 9, None, "kzalloc")
    told = Handed(0x10, "kobject_init_and_add", own=False, arguments=(new,))
    uses = {"by_add": FieldUse((), (), counts=False, handed=(told,))}
    known = {"by_free": uses, "mb_open": {}}
    monkeypatch.setattr(embedding, "uses_of", lambda _, code: known[base_name(code[0].name)])
    makes = {"mb": "mb_open", "by": "by_add"}
    monkeypatch.setattr(
        embedding, "allocating", lambda _, __, one, *___: ((Allocator(makes[one.name], ""),), True)
    )
    reader: Any = Reader()
    (one,) = embedders(reader, LOADED, reader, OBJECT, (0,))
    assert one.module == "by"
    assert one.why == (
        "its by_add allocates such objects and its by_add makes known what it has allocated"
    )


def test_the_places_are_those_of_pointers_into_the_object() -> None:
    inside = int(OBJECT.address) + 0x28
    flow = data_flow(way(flow_step("loaded", "cdev_put", inside)))
    assert places_in(OBJECT, flow, None) == (0x28,)
    assert places_in(OBJECT, None, None) == ()

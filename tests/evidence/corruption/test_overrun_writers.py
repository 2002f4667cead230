"""Which modules can have written past an object that nothing binds a module to."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.corruption import overrun_writers
from oopsight.evidence.corruption.overrun_writers import (
    able_to_overrun,
    lenders,
    repeated,
    used_writers,
    writing_modules,
)
from oopsight.evidence.corruption.size_tellers import SizeTeller
from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.held_through import HeldThrough
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer

BASE, OTHER = 0xFFFFFFFFC0300000, 0xFFFFFFFFC0400000
MODULES = made.modules(
    made.module("relays", BASE, BASE + 0x1000, "O"),
    made.module("filters", OTHER, OTHER + 0x1000, "O"),
    made.module("ext4", OTHER + 0x8000, OTHER + 0x9000),
)
NUMBER = 0x1FFFFFFF.to_bytes(4, "little")
FILLED = replace(
    made.overrun(),
    width=4,
    memory=BytesPointer(made.overrun().start, (NUMBER * 8).hex()),
)


def writer(name: str, at: int) -> ModuleFunction:
    return ModuleFunction(name, at, frozenset(), frozenset(), copies=True, indexed=True)


CODE = {"relays": [writer("relay_tick", BASE)], "filters": [writer("filter_reset", OTHER)]}
MAKES = {"relays": ((Allocator("relay_new", "relay_new+0x8"),), True), "filters": ((), False)}


TELLERS: dict[int, list[SizeTeller]] = {}


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overrun_writers, "inner_functions", lambda _, one, __: CODE[one.name])
    monkeypatch.setattr(overrun_writers, "size_tellers", lambda *_: TELLERS.get(_[3].address, []))
    monkeypatch.setattr(overrun_writers, "neighbour", lambda *_: None)
    monkeypatch.setattr(overrun_writers, "allocating", lambda _, __, one, *___: MAKES[one.name])
    monkeypatch.setattr(
        overrun_writers,
        "machine_code",
        lambda _, one: [("filter_reset", OTHER, b"\xb8" + NUMBER)] if one.name == "filters" else [],
    )


def names(overrun: made.Overrun) -> list[tuple[str, tuple[str, ...]]]:
    session = Machine().session
    found = writing_modules(session, MODULES, SessionReader(session), overrun)
    return [(one.module, one.writes) for one in found]


def test_whose_code_has_the_number_comes_before_who_allocates_such_objects() -> None:
    assert names(FILLED) == [("filters", ("filter_reset",)), ("relays", ("relay_tick",))]


def test_of_text_who_allocates_such_objects_comes_first() -> None:
    assert [module for module, _ in names(made.overrun())] == ["relays", "filters"]


def test_who_allocates_none_is_no_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    makes = {**MAKES, "filters": ((), True)}
    monkeypatch.setattr(overrun_writers, "size_tellers", lambda *_: TELLERS.get(_[3].address, []))
    monkeypatch.setattr(overrun_writers, "neighbour", lambda *_: None)
    monkeypatch.setattr(overrun_writers, "allocating", lambda _, __, one, *___: makes[one.name])
    assert names(made.overrun()) == [("relays", ("relay_tick",))]


def test_only_a_number_that_is_rare_tells_its_writer() -> None:
    assert repeated(FILLED) == NUMBER
    assert repeated(replace(FILLED, width=2)) is None
    ones = BytesPointer(FILLED.start, "01000000020000000300000004000000")
    assert repeated(replace(FILLED, memory=ones)) is None
    same = BytesPointer(FILLED.start, "ff" * 16)
    assert repeated(replace(FILLED, memory=same)) is None


def test_of_text_who_stores_words_comes_last() -> None:
    copies = [
        replace(writer("words", BASE), indexed=False),
        replace(writer("fills", BASE), copies=False, calls=frozenset({"memset"})),
        replace(writer("bytes", BASE), indexed=False, bytewise=True),
        replace(writer("prints", BASE), copies=False, calls=frozenset({"sprintf"})),
    ]
    ranked = able_to_overrun(copies, set(), made.overrun())
    assert [one.name for _, one in ranked] == ["bytes", "prints", "words", "fills"]
    assert len({rank for rank, _ in ranked}) == 2
    again = able_to_overrun(copies, set(), replace(made.overrun(), kind="repeated byte"))
    assert [one.name for _, one in again] == ["words", "fills", "bytes", "prints"]


def test_who_appends_without_a_limit_comes_before_who_has_one() -> None:
    bounded = replace(writer("prints", BASE), copies=False, calls=frozenset({"scnprintf"}))
    appends = replace(writer("appends", BASE), copies=False, appends=True)
    for kind in ("text", "repeated byte"):
        ranked = able_to_overrun([bounded, appends], set(), replace(made.overrun(), kind=kind))
        assert [one.name for _, one in ranked] == ["appends", "prints"]
    # Numbers are not stored byte by byte.
    more = able_to_overrun([replace(appends, indexed=False)], set(), FILLED)
    assert not more


def test_zeros_leave_nothing_else() -> None:
    zeroes = replace(writer("zeroes", BASE), zeroes=True)
    assert not able_to_overrun([zeroes], set(), made.overrun())
    void = replace(made.overrun(), memory=BytesPointer(made.overrun().start, "00" * 40))
    assert able_to_overrun([zeroes], set(), void)


def test_a_driver_that_the_objects_of_a_module_lead_to(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = BytesPointer(made.overrun().start, "00" * 8)
    led = {"relays"}

    def held_through(_: object, modules: Modules, begin: int, end: int) -> list[HeldThrough]:
        assert (begin, end) == (OTHER, OTHER + 0x1000)
        found = [one.name for one in modules.loaded if one.name in led]
        return [HeldThrough(name, "relay_filter", memory) for name in found]

    monkeypatch.setattr(overrun_writers, "held_through", held_through)
    session = Machine().session
    asked = session, MODULES, SessionReader(session), "relays", made.overrun()
    (found,) = used_writers(*asked)
    assert (found.module, found.writes, found.because) == ("filters", ("filter_reset",), memory)
    assert "relay_filter" in found.why
    led.clear()
    assert not used_writers(*asked)
    monkeypatch.setitem(CODE, "filters", [])
    assert not used_writers(*asked)


def test_who_told_how_large_the_objects_are_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    at = made.overrun().before.address
    leads = Reference(8, at, "filter_alg", "filters", BytesPointer(at, "00" * 8))
    monkeypatch.setitem(TELLERS, at, [SizeTeller("filters", "filter_open", 32, leads)])
    session = Machine().session

    def of(overrun: made.Overrun) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        found = writing_modules(session, MODULES, SessionReader(session), overrun)
        return [(one.module, one.writes, one.uses) for one in found]

    text = made.overrun()
    for name, (one,) in list(CODE.items()):
        monkeypatch.setitem(CODE, name, [replace(one, bytewise=True)])
    # Who allocates such objects writes without a limit as well.
    assert of(text) == [("filters", (), ("filter_open",)), ("relays", ("relay_tick",), ())]
    limited = ModuleFunction(
        "relay_tick", BASE, frozenset(["strscpy"]), frozenset(), copies=False, bytewise=True
    )
    monkeypatch.setitem(CODE, "relays", [limited])
    assert of(text) == [("filters", (), ("filter_open",))]
    # If what it writes has its limits, it has not asked for too little.
    monkeypatch.setitem(CODE, "filters", [replace(limited, name="filter_reset")])
    assert of(text)[0] == ("relays", ("relay_tick",), ())


def test_of_numbers_who_writes_text_alone_is_no_suspect() -> None:
    text = ModuleFunction("name", BASE, frozenset(["snprintf"]), frozenset(), copies=False)
    copy = ModuleFunction("copy", BASE, frozenset(["memcpy"]), frozenset(), copies=False)
    ranked = able_to_overrun([text, copy], set(), FILLED)
    assert [one.name for _, one in ranked] == ["copy"]


@pytest.mark.parametrize(
    ("told", "names"), [(0x80, ("probe_read", "probe_add")), (8, ("probe_add", "probe_read"))]
)
def test_who_has_another_module_write(
    monkeypatch: pytest.MonkeyPatch, told: int, names: tuple[str, ...]
) -> None:
    code = {
        "relays": [
            ModuleFunction(
                "probe_read", BASE, frozenset({"filter_reset"}), frozenset(), copies=False
            ),
            ModuleFunction("probe_add", BASE + 64, frozenset(), frozenset(), copies=False),
        ],
        "filters": CODE["filters"],
    }
    monkeypatch.setattr(overrun_writers, "inner_functions", lambda _, one, __: code[one.name])
    arguments = (Value("argument", 0), Value("number", told))
    handed = FieldUse((), (), counts=False, handed=(Handed(0, "filter_reset", False, arguments),))
    monkeypatch.setattr(overrun_writers, "uses_of", lambda *_: {"probe_read": handed})
    makes = (Allocator("probe_add", "probe_add+0x8"),), True
    monkeypatch.setattr(overrun_writers, "allocating", lambda *_: makes)
    session = Machine().session
    foreign = made.modules(*MODULES.loaded[:2])
    run = replace(made.overrun(), before=made.slab_object(size=32))
    found = lenders(session, foreign, SessionReader(session), MODULES.loaded[0], run)
    assert found is not None
    assert found[1] == names
    assert "has filter_reset [filters] write" in found[0]
    code["relays"] = code["relays"][1:]
    assert lenders(session, foreign, SessionReader(session), MODULES.loaded[0], run) is None

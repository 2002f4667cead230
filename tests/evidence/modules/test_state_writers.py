"""Who writes to the field that a failed check found wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.flow.checked_value import CheckedValue
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules import field_writers, state_writers
from oopsight.evidence.modules.able_writers import Ability, AbleWriters
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.counting import Copied
from oopsight.evidence.modules.field_code import FieldUse, Wiped
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.state_writers import StateWriters, collect
from oopsight.evidence.pointers import BytesPointer

MODULES = made.modules(made.module("rec", 0xFFFFFFFFC0300000, 0xFFFFFFFFC0301000, "O"))
LOADED = made.flow_step("loaded", "rec_stop", 3, "rec")
STEP = replace(LOADED, instruction=replace(LOADED.instruction, text="mov eax, dword ptr [rbx + 8]"))
CHECKED = CheckedValue(
    (made.way(STEP, module="rec", function="rec_stop", ended="loaded"),), alone=True
)


PATH = made.backtrace(loopback_xmit=Role.FAULT, rec_transmit=Role.CALLER)
PATH = replace(PATH, frames=(PATH.frames[0], replace(PATH.frames[1], module="rec")))
CHANGES = FieldUse((), (), counts=False, changes=frozenset([8]))


@pytest.fixture(autouse=True)
def _on_all_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_writers, "leaving_number", lambda *_: ())


def collected(monkeypatch: pytest.MonkeyPatch, **changes: int) -> Any:
    uses = {
        name: FieldUse((), (), counts=False, changes=frozenset([key]))
        for name, key in changes.items()
    }
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    return collect(Machine().session, CHECKED, MODULES, PATH)


def test_others_that_write_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, rec_stop=8, rec_reset=8, rec_open=0x10)
    assert isinstance(found, StateWriters)
    assert (found.module, found.functions, found.alone) == ("rec", ("rec_reset",), True)


def test_many_that_write_there_are_too_many_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, a=8, b=8, c=8, d=8)
    assert isinstance(found, StateWriters)
    assert found.functions == ()


def test_a_function_that_alone_writes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch, rec_stop=8), Missing)


def test_who_changes_one_of_several_that_have_to_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(
        LOADED, instruction=replace(LOADED.instruction, text="mov eax, dword ptr [rbx + 0x10]")
    )
    both = replace(
        CHECKED,
        ways=(*CHECKED.ways, made.way(other, module="rec", function="rec_stop", ended="loaded")),
    )
    uses = {
        "rec_send": FieldUse((), (), counts=False, changes=frozenset([8, 0x10])),
        "rec_resize": FieldUse((), (), counts=False, changes=frozenset([0x10])),
    }
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    found = collect(Machine().session, both, MODULES, PATH)
    assert isinstance(found, StateWriters)
    assert found.functions == ("rec_resize", "rec_send")
    assert found.way == both.ways[1]


@pytest.mark.parametrize(("text", "found"), [("dword", False), ("qword", True)])
def test_a_pointer_is_stored_to_another_field_at_that_distance(
    monkeypatch: pytest.MonkeyPatch, text: str, found: bool
) -> None:
    step = replace(
        LOADED, instruction=replace(LOADED.instruction, text=f"mov eax, {text} ptr [rbx + 8]")
    )
    checked = replace(
        CHECKED, ways=(made.way(step, module="rec", function="rec_stop", ended="loaded"),)
    )
    use = FieldUse((), (), counts=False, changes=frozenset([8]), wide=frozenset([8]))
    own = FieldUse((), (), counts=False, changes=frozenset([8]))
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: {"rec_probe": use, "rec_stop": own})
    answer = collect(Machine().session, checked, MODULES, PATH)
    assert isinstance(answer, StateWriters) is found


@pytest.mark.parametrize(("zeroes", "meant"), [({8}, True), ({0, 8, 16}, False), ({16}, False)])
def test_zero_on_purpose(monkeypatch: pytest.MonkeyPatch, zeroes: set[int], meant: bool) -> None:
    use = FieldUse((), (), counts=False, changes=frozenset([8]), zeroes=frozenset(zeroes))
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: {"rec_rest": use})
    answer = collect(Machine().session, CHECKED, MODULES, PATH)
    assert isinstance(answer, StateWriters)
    assert answer.zeroes is meant


def test_who_only_mends_what_was_found_wrong_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(**changes: Any) -> FieldUse:
        return FieldUse((), (), counts=False, changes=frozenset([8]), **changes)

    uses = {"rec_add": use(raises=frozenset([8])), "rec_drop": use(lowers=frozenset([8]))}
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    session = Machine().session
    for wrong, first in (("low", "rec_drop"), ("high", "rec_add"), ("", "rec_add")):
        found = collect(session, replace(CHECKED, wrong=(wrong,)), MODULES, PATH)
        assert isinstance(found, StateWriters)
        assert found.functions[0] == first


def test_a_pointer_at_the_same_distance_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(narrow: frozenset[int]) -> Any:
        wide = {"wide": frozenset([8]), "changes": frozenset([8]), "narrow": narrow}
        uses = {"rec_link": FieldUse((), (), counts=False, **wide), "rec_stop": CHANGES}
        monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
        return collect(Machine().session, CHECKED, MODULES, PATH)

    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    assert isinstance(found(frozenset()), Missing)
    # It stores both.
    assert found(frozenset([8])).functions == ("rec_link",)


def test_who_makes_what_has_it_and_sets_it_to_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uses = {"rec_make": FieldUse((), (), counts=False, made=frozenset([8])), "rec_reset": CHANGES}
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    found = collect(Machine().session, CHECKED, MODULES, PATH)
    assert isinstance(found, StateWriters)
    assert (found.functions, found.makers) == (("rec_reset",), ("rec_make",))


def test_who_sets_it_on_some_ways_only_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_writers, "leaving_number", lambda *_: ("rec_abort",))
    found = collected(monkeypatch, rec_finish=8, rec_abort=8)
    assert found.functions == ("rec_abort", "rec_finish")


@pytest.mark.parametrize(
    ("value", "first"),
    [
        (Value("computed", 9), "rec_tune"),
        (Value("number", 3), "rec_tune"),  # what was found wrong
        (Value("number", 4), "rec_store"),
        (Value("argument", 2), "rec_store"),  # whoever checks, it is not that one
    ],
)
def test_who_made_the_number_that_another_stores(
    monkeypatch: pytest.MonkeyPatch, value: Value, first: str
) -> None:
    given = (Value("argument", 1), value, *[Value("unknown", 7)] * 4)
    call = Handed(8, "rec_store.constprop.0", own=True, arguments=given)
    uses = {
        "rec_store": replace(CHANGES, passed=frozenset([(8, "rsi")])),
        "rec_tune": FieldUse((), (), counts=False, handed=(call,)),
    }
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    found = collect(Machine().session, CHECKED, MODULES, PATH)
    assert isinstance(found, StateWriters)
    assert found.functions[0] == first
    assert "rec_store" in found.functions


def test_who_counts_in_what_the_kernel_finds_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    read = made.flow_step("loaded", "pskb_expand_head", 2)
    text = "mov eax, dword ptr [rdi + 0xdc]"
    step = replace(read, instruction=replace(read.instruction, text=text))
    way = made.way(step, module=None, function="pskb_expand_head", ended="loaded")
    at = frozenset([0xDC])
    uses = {
        "rec_tap": FieldUse((), (), counts=True, raises=at, narrow=at),
        "rec_tally": FieldUse((), (), counts=False, raises=at, narrow=at),
    }
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    found = collect(Machine().session, replace(CHECKED, ways=(way,)), MODULES, PATH)
    assert isinstance(found, StateWriters)
    assert found.functions == ("rec_tap",)


def test_who_stored_it_in_what_was_then_handed_to_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packet, other = Value("returned", 1, None, "__alloc_skb"), Value("argument", 1)
    read = made.flow_step("loaded", "loopback_xmit", 3)
    text = "cmp qword ptr [rbx + 0x18], 0"
    step = replace(read, instruction=replace(read.instruction, text=text))
    way = made.way(step, module=None, function="loopback_xmit", ended="loaded")

    def writing(into: Value, handed_to: str) -> FieldUse:
        call = Handed(8, handed_to, own=True, arguments=(packet,))
        return FieldUse((), (), counts=False, written=((0x18, into),), handed=(call,))

    uses = {
        "rec_mark": writing(packet, "rec_transmit"),
        "rec_queue": writing(packet, "rec_park"),
        "rec_send": writing(other, "rec_transmit"),
    }
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    found = collect(Machine().session, replace(CHECKED, ways=(way,)), MODULES, PATH)
    assert isinstance(found, StateWriters)
    assert (found.module, found.functions) == ("rec", ("rec_mark",))
    nobody = {"rec_send": uses["rec_send"]}
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: nobody)
    found = collect(Machine().session, replace(CHECKED, ways=(way,)), MODULES, PATH)
    assert isinstance(found, Missing)


def test_who_can_have_stored_it_before_who_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    able = {"rec_clear": Ability.UNABLE, "rec_tune": Ability.UNCHECKED, "rec_take": Ability.MOVES}
    monkeypatch.setattr(field_writers, "abilities", lambda *_: able)
    monkeypatch.setattr(field_writers, "leaving_alone", lambda *_: ("rec_abort",))
    found = collected(monkeypatch, rec_clear=8, rec_take=8, rec_tune=8, rec_abort=0x10)
    assert found.functions == ("rec_tune", "rec_abort", "rec_take")
    assert (found.leaving, found.harmless) == (("rec_abort",), ("rec_clear",))
    assert set(found.unlikely) == {"rec_take", "rec_clear"}


def test_of_many_that_write_there_those_that_can_have_stored_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    able = {**dict.fromkeys("abc", Ability.UNABLE), "d": Ability.UNCHECKED}
    monkeypatch.setattr(field_writers, "abilities", lambda *_: able)
    assert collected(monkeypatch, a=8, b=8, c=8, d=8).functions[0] == "d"


def test_who_undoes_what_else_the_one_did_that_had_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_writers, "abilities", lambda *_: {"rec_off": Ability.SETS})
    monkeypatch.setattr(field_writers, "undoing", lambda *_: ("rec_on",))
    found = collected(monkeypatch, rec_off=8, rec_on=0x10)
    assert (found.functions, found.undoing) == (("rec_on", "rec_off"), ("rec_on",))


@pytest.mark.parametrize(
    ("brought", "found"),
    [
        (False, ("rec_define", "rec_select")),
        # What the kernel has brought, the module's others have not written.
        (True, ("rec_select",)),
    ],
)
def test_what_was_copied_with_all_around_it(
    monkeypatch: pytest.MonkeyPatch, brought: bool, found: tuple[str, ...]
) -> None:
    copied = frozenset([Copied(0, 0x40, 16, brought)])
    uses = {
        "rec_select": FieldUse(
            (), (), counts=False, copied=copied, changes=frozenset([8] if brought else [])
        ),
        "rec_define": FieldUse((), (), counts=False, changes=frozenset([0x48])),
        "rec_name": FieldUse((), (), counts=False, changes=frozenset([0x40])),
    }
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    writers = collect(Machine().session, CHECKED, MODULES, PATH)
    assert isinstance(writers, StateWriters)
    assert writers.functions == found


def test_who_makes_such_objects_and_leaves_zero_there(monkeypatch: pytest.MonkeyPatch) -> None:
    held = made.owner(0xFFFF888003400008, "slab", slab=made.slab_object(), offset=8)
    step = replace(STEP, value=0)
    way = made.way(step, module="rec", function="rec_stop", ended="loaded", held_in=held)
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: {"rec_parse": CHANGES})
    monkeypatch.setattr(field_writers, "omitting", lambda *_, **__: ("rec_import",))
    found = collect(Machine().session, replace(CHECKED, ways=(way,)), MODULES, PATH)
    assert isinstance(found, StateWriters)
    assert found.unset == ("rec_import",)
    assert set(found.functions) == {"rec_import", "rec_parse"}


@pytest.mark.parametrize(
    ("wiped", "found"),
    [
        (Wiped(16, None, 0), True),
        (Wiped(16, None, 0x10), False),
        (Wiped(16, "kmalloc_trace", 0), False),
        # Its last word is set by itself.
        (Wiped(None, None, 4), True),
    ],
)
def test_who_fills_all_around_it_with_zeros(
    monkeypatch: pytest.MonkeyPatch, wiped: Wiped, found: bool
) -> None:
    way = made.way(replace(STEP, value=0), module="rec", function="rec_stop", ended="loaded")
    last = frozenset([(0x18, 8, 0)])
    uses = {
        "rec_clear": FieldUse((), (), counts=False, wipes=(wiped,), constants=last),
        "rec_tune": CHANGES,
    }
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    answer = collect(Machine().session, replace(CHECKED, ways=(way,)), MODULES, PATH)
    assert isinstance(answer, StateWriters)
    assert ("rec_clear" in answer.functions) is found


def test_who_writes_to_another_that_has_to_agree_does_not_leave_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = CHECKED.ways[0]
    one = StateWriters("rec", way, ("rec_store", "rec_open"), leaving=("rec_open",))
    other = StateWriters("rec", way, ("rec_open", "rec_send"))
    both = iter([one, other])
    monkeypatch.setattr(state_writers, "writers_of", lambda *_, **__: next(both))
    found = collect(Machine().session, replace(CHECKED, ways=(way, way)), MODULES, PATH)
    assert isinstance(found, StateWriters)
    assert found.functions == ("rec_store", "rec_open", "rec_send")
    assert found.leaving == ()


def test_who_has_what_keeps_a_count_called_once_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    down = FieldUse((), (), counts=False, changes=frozenset([8]), lowers=frozenset([8]))
    up = FieldUse((), (), counts=False, changes=frozenset([8]), raises=frozenset([8]))
    call = Handed(8, "rec_stop", own=True, arguments=(Value("argument", 1),))
    calling = FieldUse((), (), counts=False, handed=(call,))
    uses = {"rec_stop": down, "rec_start": up, "rec_end": calling, "rec_abort": calling}
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    low = replace(CHECKED, wrong=("low",))
    found = collect(Machine().session, low, MODULES, PATH)
    assert isinstance(found, StateWriters)
    assert found.counted_too_far
    # Another takes from it as well; it is too high; nobody else calls it.
    for change, checked in (
        ({"rec_drop": down}, low),
        ({}, replace(CHECKED, wrong=("high",))),
        ({"rec_abort": up}, low),
    ):
        monkeypatch.setattr(state_writers, "uses_of", lambda *_, more=change: {**uses, **more})
        found = collect(Machine().session, checked, MODULES, PATH)
        assert isinstance(found, StateWriters)
        assert not found.counted_too_far


def test_who_alone_can_have_set_it_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, rec_stop=8, rec_done=8)
    assert not found.sets_it_itself
    monkeypatch.setattr(field_writers, "abilities", lambda *_: {"rec_done": Ability.UNABLE})
    monkeypatch.setattr(AbleWriters, "ability", lambda *_: Ability.SETS)
    code = [ModuleFunction("rec_stop", 0xFFFFFFFFC0300000, frozenset(), frozenset(), copies=False)]
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: code)
    uses = {"rec_stop": CHANGES, "rec_done": CHANGES}
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    found = collect(Machine().session, CHECKED, MODULES, PATH)
    assert isinstance(found, StateWriters)
    assert found.sets_it_itself


def test_how_far_in_the_object_lies_what_a_callback_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    refers = Reference(24 + 0x30, Address(0), "rec_done", "rec", BytesPointer(Address(0), "00" * 8))
    one = made.slab_object(refers=(refers,))
    held = made.owner(0xFFFF888003400008, "slab", slab=one, offset=8)
    way = made.way(STEP, module="rec", function="rec_stop", ended="loaded", held_in=held)
    at = (8 - 0x30) & ((1 << 64) - 1)
    uses = {
        "rec_done": FieldUse((), (), counts=False, changes=frozenset([at, 8])),
        "rec_reset": CHANGES,
    }
    monkeypatch.setattr(state_writers, "inner_functions", lambda *_: [])
    monkeypatch.setattr(state_writers, "uses_of", lambda *_: uses)
    asked: dict[str, int] = {}

    def able(_: object, __: object, keys: dict[str, int], *___: object) -> dict[str, Ability]:
        asked.update(keys)
        return dict.fromkeys(keys, Ability.UNCHECKED)

    monkeypatch.setattr(field_writers, "abilities", able)
    collect(Machine().session, replace(CHECKED, ways=(way,)), MODULES, PATH)
    assert asked == {"rec_done": at, "rec_reset": 8}

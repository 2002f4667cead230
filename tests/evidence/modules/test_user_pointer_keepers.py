"""Who stores a process's pointer where another then follows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.modules import user_pointer_keepers
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.user_pointer_keepers import UserPointerKeepers, collect

USER = 0x7FFE15343500
LOADED = made.flow_step("loaded", "lbl_render", USER, "lbl")
STEP = replace(LOADED, instruction=replace(LOADED.instruction, text="mov rsi, qword ptr [rdi + 8]"))
WAY = made.way(STEP, held_in=made.owner(0xFFFF888000001008, "slab"))
FLOW = made.data_flow(WAY, bad=made.owner(USER, "other-user"))
MODULES = made.modules(
    made.module("lbl", 0xFFFFFFFFC0300000, 0xFFFFFFFFC0301000, "O"),
    made.module("desk", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0401000, "O"),
)


def storing(*, given: bool = True, key: int = 8, users: tuple[int, ...] = ()) -> FieldUse:
    stored = Stored(key, "value", None, given=given)
    return FieldUse((), (stored,), counts=False, sets=frozenset([key]), of_users=frozenset(users))


def function(name: str, *calls: str, own: tuple[str, ...] = ()) -> ModuleFunction:
    every = frozenset((*calls, *own))
    return ModuleFunction(name, 0x1000, every, frozenset(), copies=False, own=frozenset(own))


def collected(
    monkeypatch: pytest.MonkeyPatch,
    uses: dict[str, dict[str, FieldUse]],
    *code: ModuleFunction,
    flow: Any = FLOW,
) -> Any:
    """With what the functions of each module do."""
    inner = {
        name: [one for one in code if one.name in of_module] for name, of_module in uses.items()
    }
    monkeypatch.setattr(user_pointer_keepers, "inner_functions", lambda _, m, __: inner[m.name])
    monkeypatch.setattr(
        user_pointer_keepers,
        "uses_of",
        lambda _, code: next(uses[name] for name, one in inner.items() if one is code),
    )
    return collect(Machine().session, flow, made.backtrace(), MODULES)


def test_who_is_called_by_one_that_copies_comes_before_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (
        function("lbl_ioctl", "_copy_from_user", own=("lbl_submit",)),
        function("lbl_submit"),
        function("lbl_default"),
    )
    uses = {"lbl_ioctl": storing(key=0x40), "lbl_submit": storing(), "lbl_default": storing()}
    found = collected(monkeypatch, {"lbl": uses, "desk": {}}, *code)
    assert found == UserPointerKeepers("lbl", ("lbl_submit",))
    # The handler's argument itself is such a pointer.
    uses = {"lbl_submit": storing(), "lbl_default": storing(given=False)}
    found = collected(monkeypatch, {"lbl": uses, "desk": {}}, *code)
    assert found == UserPointerKeepers("lbl", ("lbl_submit",))


def test_who_puts_a_copy_there_as_well_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = replace(storing(), stores=(*storing().stores, Stored(8, "returned", "memdup_user")))
    uses = {"lbl_copy": copies, "lbl_keep": storing()}
    found = collected(monkeypatch, {"lbl": uses, "desk": {}})
    assert found == UserPointerKeepers("lbl", ("lbl_keep", "lbl_copy"))


def test_a_field_that_is_known_for_a_processs(monkeypatch: pytest.MonkeyPatch) -> None:
    uses = {"lbl_submit": storing(), "lbl_status": storing(key=0x40, users=(8,))}
    found = collected(monkeypatch, {"lbl": uses, "desk": {}})
    assert found == UserPointerKeepers("lbl", ())


@pytest.mark.parametrize(("calls", "found"), [("__get_user_8", True), ("kmalloc", False)])
def test_another_module_that_has_it_from_user_space(
    monkeypatch: pytest.MonkeyPatch, calls: str, found: bool
) -> None:
    uses = {"lbl": {}, "desk": {"desk_write": storing()}}
    answer = collected(monkeypatch, uses, function("desk_write", calls))
    if found:
        assert answer == UserPointerKeepers("desk", ("desk_write",))
    else:
        assert isinstance(answer, Missing)


def test_what_was_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = replace(FLOW, ways=(replace(WAY, held_in=made.owner(0xFFFF888000001008, "stack")),))
    uses = {"lbl": {"lbl_submit": storing()}, "desk": {}}
    assert isinstance(collected(monkeypatch, uses, flow=flow), Missing)


def test_of_a_copy_of_what_a_process_had_all_is_the_process_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slab = made.slab_object(cache="memdup_user-32")
    held = replace(made.owner(0xFFFF888000001008, "slab"), slab=slab)
    flow = replace(FLOW, ways=(replace(WAY, held_in=held),))
    found = collected(monkeypatch, {"lbl": {"lbl_submit": storing()}}, flow=flow)
    assert found == UserPointerKeepers("lbl", ())


@pytest.mark.parametrize(
    ("size", "begin", "keeps"), [(16, 0, True), (8, 0, False), (16, 16, False)]
)
def test_who_copies_a_structure_with_the_pointer_in_it(
    monkeypatch: pytest.MonkeyPatch, size: int, begin: int, keeps: bool
) -> None:
    to = Value("inner", begin, Value("returned", 1, None, "kmalloc"))
    arguments = (to, Value("argument", 1), Value("number", size))
    copies = Handed(0, "_copy_from_user", own=False, arguments=arguments)
    uses = {
        "lbl_queue": FieldUse((), (), counts=False, handed=(copies,)),
        "lbl_render": FieldUse((), (), False),
    }
    found = collected(monkeypatch, {"lbl": uses, "desk": {}}, function("lbl_queue"))
    assert isinstance(found, UserPointerKeepers) is keeps

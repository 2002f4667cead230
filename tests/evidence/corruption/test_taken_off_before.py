"""Who had taken an entry off its list before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_code import START, assemble
from handmade_fields import use
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import taken_off_before
from oopsight.evidence.corruption.taken_off_before import TakenOffBefore, collect
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.flow.code import function
from oopsight.evidence.modules.field_marks import UNLINKED
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

OBJECT = 0xFFFF888003400000
MODULE = 0xFFFFFFFFC0300000
MODULES = made.modules(made.module("lift", MODULE, MODULE + 0x1000, "O"))
POISON = ("movabs rax, 0xdead000000000100", "mov qword ptr [rdi + 8], rax", "add rax, 0x22",
          "mov qword ptr [rdi + 0x10], rax")  # fmt: skip
USES = {
    "lift_serve": use(*POISON, "and word ptr [rdi + 4], 0xfffc"),
    "lift_cancel": use(*POISON, "and word ptr [rdi + 4], 0xfffd"),
    "lift_press": use("or word ptr [rdi + 4], 3"),
}
REPORT = "list_del corruption, ffff888003400008->next is LIST_POISON1 (dead000000000100)"


def found(
    monkeypatch: pytest.MonkeyPatch,
    flags: int,
    report: Any,
    flow: Any = made.ABSENT,
    code: Sequence[ModuleFunction] = (),
) -> TakenOffBefore | Missing:
    machine = Machine()
    machine.memory[OBJECT] = b"".join(
        (
            bytes(4),
            flags.to_bytes(4, "little"),
            (UNLINKED - 0x22).to_bytes(8, "little"),
            bytes(4080),
        )
    )
    own = made.frame(0, "lift_reset", Role.FAULT, "lift")
    path = replace(made.backtrace(), frames=(own,))
    monkeypatch.setattr(taken_off_before, "inner_functions", lambda *_: list(code))
    monkeypatch.setattr(taken_off_before, "uses_of", lambda *_: USES)
    return collect(machine.session, report, flow, path, MODULES)


def test_the_object_says_who_was_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch, 1, made.list_report(REPORT))
    assert isinstance(one, TakenOffBefore)
    assert (one.functions, one.belied) == (("lift_cancel",), ("lift_serve",))
    assert one.entry == OBJECT + 8
    one = found(monkeypatch, 0, made.list_report(REPORT))
    assert isinstance(one, TakenOffBefore)
    assert one.functions == ("lift_serve", "lift_cancel")
    # As none of them leaves it.
    assert isinstance(found(monkeypatch, 3, made.list_report(REPORT)), Missing)


def test_who_had_added_it_before(monkeypatch: pytest.MonkeyPatch) -> None:
    adds = ("mov rbx, rdi", "lea rdi, [rdi + 8]", "call 0xa100", "test al, al", "je 0x1018", "nop ")
    late = use(*adds, "mov eax, dword ptr [rbx + 4]", "and eax, 0xfffffffe", "or eax, 4",
               "mov dword ptr [rbx + 4], eax")  # fmt: skip
    done = use(*adds, "mov eax, dword ptr [rbx + 4]", "and eax, 0xfffffffe", "or eax, 2",
               "mov dword ptr [rbx + 4], eax")  # fmt: skip
    monkeypatch.setitem(USES, "lift_late", late)
    monkeypatch.setitem(USES, "lift_done", done)
    twice = "list_add double add: new=ffff888003400008, prev=ffff888003400008, "
    twice += "next=ffffffffc0301030."
    one = found(monkeypatch, 4, made.list_report(twice))
    assert isinstance(one, TakenOffBefore)
    assert (one.functions, one.belied, one.added) == (("lift_late",), ("lift_done",), True)


def test_the_poison_that_was_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = BytesPointer(Address(OBJECT + 0x10), "00" * 8)
    step = made.flow_step("loaded", "lift_serve", 0xDEAD000000000122, "lift", memory=memory)
    flow = made.data_flow(made.way(step, ended="loaded", value=0xDEAD000000000122))
    one = found(monkeypatch, 1, made.ABSENT, flow)
    assert isinstance(one, TakenOffBefore)
    assert isinstance(found(monkeypatch, 1, made.ABSENT), Missing)


def test_who_does_it_again_without_a_look_at_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    # As plot_next() sets the state, and plot_cancel() takes off whatever that says.
    monkeypatch.setitem(USES, "lift_call", use(*POISON, "mov dword ptr [rdi + 4], 1"))
    monkeypatch.setitem(USES, "lift_reset", use(*POISON, "mov dword ptr [rdi + 4], 2"))
    for name in ("lift_serve", "lift_cancel"):
        monkeypatch.delitem(USES, name)
    code = [ModuleFunction("lift_reset", MODULE, frozenset(), frozenset(), copies=False)]
    for line, at, blamed in (
        ("8b 47 20", False, ()),  # mov eax, [rdi + 0x20]
        ("83 7f 04 01", True, ("lift_call",)),  # cmp dword ptr [rdi + 4], 1
        ("83 4f 04 01", False, ()),  # or dword ptr [rdi + 4], 1
    ):
        again = function("lift_reset", (START, assemble(line)))
        monkeypatch.setattr(taken_off_before.Calls, "function", lambda *_, a=again: a)
        one = found(monkeypatch, 1, made.list_report(REPORT), code=code)
        assert isinstance(one, TakenOffBefore) is at
        assert (one.functions if isinstance(one, TakenOffBefore) else ()) == blamed

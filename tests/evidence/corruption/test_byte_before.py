"""A byte that is stored before an object begins, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import byte_before as collector
from oopsight.evidence.corruption.byte_before import ByteBefore, collect
from oopsight.evidence.modules.module_code import ModuleFunction

NOTES = made.module("notes", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0004000, "OE")
ONE = made.slab_object(size=0x20)
AT = int(ONE.address)
BEHIND = replace(ONE, address=Address(AT + 0x20))
WRONG = 0x00FFFFFFC0521000
# mov rbx,rdi; call strlen; mov byte ptr [rbx+rax-1],0; ret
TRIM = "4889fb e8f80f0000 c64403ff00 c3"
LOOKS = "4889fb e8f80f0000 4885c0 7405 c64403ff00 c3"  # test rax,rax; je
OTHER = "4889fb e8f80f0000 c64403ff20 c3"  # a space


def found(monkeypatch: pytest.MonkeyPatch, code: str, value: int = WRONG, offset: int = 24) -> Any:
    machine = Machine()
    machine.words(AT + offset, value)
    monkeypatch.setattr(collector, "SessionReader", lambda _: text)
    text = Code(code, "c3")
    inner = [ModuleFunction("notes_trim", text.start(0), frozenset(), frozenset(), copies=False)]
    monkeypatch.setattr(collector, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(collector, "neighbour", lambda *_: BEHIND)
    monkeypatch.setattr(
        collector,
        "owner_of",
        lambda *a: made.owner(a[2], "module" if a[2] >> 56 == 0xFF else "unknown"),
    )
    monkeypatch.setattr(collector, "allocating", lambda *_: ((), False))
    monkeypatch.setattr(collector, "holding_variables", lambda *_: ())
    step = made.flow_step("loaded", "charge", value, "crates")
    owner = made.owner(AT + offset, "slab", slab=ONE, offset=offset)
    flow = made.data_flow(made.way(step, held_in=owner), bad=made.owner(value, "unknown"))
    return collect(machine.session, flow, made.modules(NOTES))


def test_a_length_that_may_be_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    before = found(monkeypatch, TRIM)
    assert isinstance(before, ByteBefore)
    assert [one.function for one in before.writers] == ["notes_trim"]
    assert before.byte == 0


@pytest.mark.parametrize(
    ("code", "value", "offset"),
    [(LOOKS, WRONG, 24), (OTHER, WRONG, 24), (TRIM, WRONG, 16), (TRIM, WRONG | 0xFF << 56, 24)],
)
def test_anything_else(monkeypatch: pytest.MonkeyPatch, code: str, value: int, offset: int) -> None:
    assert isinstance(found(monkeypatch, code, value, offset), Missing)

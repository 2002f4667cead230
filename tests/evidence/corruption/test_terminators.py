"""A text that is ended one byte behind its memory, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption import terminators as collector
from oopsight.evidence.corruption.list_report import ListEntry
from oopsight.evidence.corruption.terminators import Terminators, collect
from oopsight.evidence.modules.module_code import ModuleFunction

LABELS = made.module("labels", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0004000, "OE")
ONE = made.slab_object(size=0x40)
AT = int(ONE.address)
GOOD, CUT = 0xFFFF888003500150, 0xFFFF888003500100
# mov rbx,rdi; call __kmalloc; mov byte ptr [rax+rbx],0; ret
ENDS = "4889fb e8f80f0000 c6041800 c3"
# mov rbx,rdi; lea rdi,[rbx+1]; call __kmalloc; mov byte ptr [rax+rbx],0; ret
LONGER = "4889fb 488d7b01 e8f40f0000 c6041800 c3"


# mov rbx,rdi; call __kmalloc; mov rdi,rax; call memcpy; mov byte ptr [rax+rbx],0; ret
FILLED = "4889fb e8f80f0000 4889c7 e8f01f0000 c6041800 c3"
# mov rbx,rsi; call memdup_user; mov byte ptr [rax+rbx],0; ret
COPIED = "4889f3 e8f80f0000 c6041800 c3"
TEXT = "list_del corruption. next->prev should be ffff888003500040, but was ffff888003500140"


def found(
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    value: int = CUT,
    other: int = GOOD,
    offset: int = 0,
    listed: int = 0,
    allocator: str = "__kmalloc",
) -> Any:
    machine = Machine()
    for steps in (-1, 0, 1, 2):
        machine.words(AT + 0x40 * steps, other if steps else value)
    monkeypatch.setattr(collector, "SessionReader", lambda _: text)
    text = Code(code, "c3", "c3")
    text.names = ["labels_copy", allocator, "memcpy"]
    inner = [ModuleFunction("labels_copy", text.start(0), frozenset(), frozenset(), copies=False)]
    monkeypatch.setattr(collector, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(
        collector, "neighbour", lambda *a: replace(ONE, address=Address(AT + 0x40 * a[3]))
    )
    monkeypatch.setattr(collector, "owner_of", lambda *a: made.owner(a[2], "slab"))
    monkeypatch.setattr(collector, "allocating", lambda *_: ((), False))
    read = made.flow_step("loaded", "dim", 0, "lamps")
    kept = made.flow_step("loaded", "dim", value, "lamps")
    owner = made.owner(AT + offset, "slab", slab=ONE, offset=offset)
    flow = made.data_flow(made.way(read), made.way(kept, held_in=owner), bad=made.owner(0, "null"))
    report = None
    if listed:
        machine.words(GOOD, 0, listed)
        entry = ListEntry("should", made.owner(AT, "slab", slab=ONE, offset=0))
        report = replace(made.list_report(TEXT), entries=(entry,))
        flow = made.data_flow()
    none = Missing(Why.NOT_APPLICABLE, "none")
    return collect(machine.session, flow, made.modules(LABELS), report or none)


def test_who_allocates_one_byte_less_than_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = found(monkeypatch, ENDS)
    assert isinstance(ends, Terminators)
    assert [one.function for one in ends.writers] == ["labels_copy"]


def test_what_a_copy_gives_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(found(monkeypatch, FILLED), Terminators)


def test_a_copy_of_the_users_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(found(monkeypatch, COPIED, allocator="memdup_user"), Terminators)
    assert isinstance(found(monkeypatch, COPIED), Missing)


def test_the_entry_that_it_led_to_leads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = found(monkeypatch, ENDS, other=CUT, listed=AT)
    assert isinstance(ends, Terminators)
    assert ends.back is not None
    assert ends.back.address == GOOD + 8
    assert isinstance(found(monkeypatch, ENDS, other=CUT, listed=AT + 0x40), Missing)


@pytest.mark.parametrize(
    ("code", "value", "other", "offset"),
    [
        (LONGER, CUT, GOOD, 0),
        (ENDS, GOOD, GOOD, 0),
        (ENDS, CUT, CUT, 0),  # they all do
        (ENDS, CUT, GOOD, 8),
    ],
)
def test_anything_else(
    monkeypatch: pytest.MonkeyPatch, code: str, value: int, other: int, offset: int
) -> None:
    assert isinstance(found(monkeypatch, code, value, other, offset), Missing)

"""Memory that was on a list when it was allocated again, as the list check met it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.modules.field_code import FieldUse, Stored, Wiped
from oopsight.evidence.use_after_free import fresh_entry
from oopsight.evidence.use_after_free.fresh_entry import fresh_on_list

ONE = made.slab_object()
AT = int(ONE.address) + 0x10
FIELD = 0x88
MODULE = 0xFFFFFFFFC0400000
MODULES = made.modules(made.module("nic", MODULE, MODULE + 0x1000, "O"))
NEW = Stored(FIELD, "fresh", "kzalloc")


def found(monkeypatch: pytest.MonkeyPatch, was: int = 0, **uses: FieldUse) -> Any:
    monkeypatch.setattr(fresh_entry, "inner_functions", lambda *_: [])
    monkeypatch.setattr(fresh_entry, "uses_of", lambda *_: uses)
    text = f"list_add corruption. next->prev should be prev (ffff888000090000), but was {was:016x}."
    report = made.list_report(f"{text} (next={AT:x}).")
    slab = made.owner(AT, "slab", slab=ONE)
    entries = tuple(replace(e, owner=slab) if e.role == "next" else e for e in report.entries)
    step = made.flow_step("loaded", "nic_start", int(ONE.address), "nic")
    text = f"mov rsi, qword ptr [rbx + {FIELD:#x}]"
    step = replace(step, instruction=replace(step.instruction, text=text))
    way = made.way(step, module="nic", value=Address(AT))
    flow = made.data_flow(way, subject="argument", bad=slab)
    return fresh_on_list(Machine().session, MODULES, flow, replace(report, entries=entries))


def use(*stores: Stored, **changes: Any) -> FieldUse:
    sets = frozenset(one.key for one in stores)
    return FieldUse((), stores, counts=False, sets=sets, **changes)


def test_who_is_at_work_has_just_allocated_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, nic_start=use(NEW))[1] == ONE


def test_what_may_be_in_use_still_is_not_new(monkeypatch: pytest.MonkeyPatch) -> None:
    # Another function allocates such objects, or one fills with zeros what is in use.
    assert found(monkeypatch, nic_start=use(), nic_probe=use(NEW)) is None
    wiped = use(wipes=(Wiped(64, None),))
    assert found(monkeypatch, nic_start=use(NEW), nic_reset=wiped) is None
    # Its pointers are of an entry that nobody has made anew.
    assert found(monkeypatch, was=int(ONE.address) + 0x100, nic_start=use(NEW)) is None

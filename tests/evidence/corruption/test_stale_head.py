"""A list's head that leads to an entry which was deleted from another list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.corruption import stale_head
from oopsight.evidence.corruption.stale_head import StaleHead, collect
from oopsight.evidence.crash.backtrace import Role

MODULES = made.modules(made.module("gate", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0401000, "O"))
TEXT = (
    "list_add corruption. prev->next should be next (ffff8e4a027b7008), but was {:x}. "
    "(prev=ffff8e4a027b72e0)."
)


def collected(monkeypatch: pytest.MonkeyPatch, was: int, *found: str) -> Any:
    monkeypatch.setattr(stale_head, "splicers", lambda *_: found)
    trace = made.backtrace(__list_add_valid=Role.FAULT, gate_add=Role.CALLER)
    frames = (trace.frames[0], replace(trace.frames[1], module="gate"))
    report = made.list_report(TEXT.format(was))
    kinds = {"was": "poison" if was >> 48 == 0xDEAD else "slab"}
    entries = tuple(
        replace(one, owner=replace(one.owner, kind=kinds.get(one.role, "slab")))
        for one in report.entries
    )
    report = replace(report, entries=entries)
    return collect(Machine().session, report, MODULES, replace(trace, frames=frames))


def test_who_moved_the_entries_away(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, 0xDEAD000000000100, "gate_take")
    assert found == StaleHead("gate", ("gate_take",))


def test_nobody_moves_or_the_entry_is_on_another_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(collected(monkeypatch, 0xDEAD000000000100), Missing)
    assert isinstance(collected(monkeypatch, 0xFFFF8E4A027B7290, "gate_take"), Missing)

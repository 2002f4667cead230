"""The list check's report, and what it leaves out."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.corruption import list_report
from oopsight.evidence.corruption.list_report import ListReport, collect

ENTRY, PREV, HEAD = 0xFFFF888003400040, 0xFFFF888003400000, 0xFFFFFFFFC0301030


@pytest.mark.parametrize(("tail", "reads"), [("", True), (f" (prev={PREV + 64:x})", False)])
def test_the_neighbour_is_read_where_the_report_does_not_tell_it(
    monkeypatch: pytest.MonkeyPatch, tail: str, reads: bool
) -> None:
    def owner_of(_session: Any, _modules: Any, address: int) -> Any:
        return made.owner(address, "slab")

    monkeypatch.setattr(list_report, "owner_of", owner_of)
    machine = Machine()
    machine.words(ENTRY, HEAD, PREV)
    log = made.log(f"list_del corruption. prev->next should be {ENTRY:x}, but was {HEAD:x}.{tail}")
    report = collect(machine.session, log, made.ABSENT)
    assert isinstance(report, ListReport)
    neighbour = report.entry("prev")
    assert neighbour is not None
    assert neighbour.owner.address == (PREV if reads else PREV + 64)

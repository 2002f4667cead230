"""An entry of a module's list that holds a bad pointer."""

from __future__ import annotations

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.corruption import list_holder as module
from oopsight.evidence.corruption.list_holder import list_holder

DATA = 0xFFFFFFFFC0400000
HEAD = DATA + 0x10
FIRST, SECOND, THIRD = (0xFFFF888003400000 + 0x100 * number for number in range(3))
BAD = 0x1A0000006D
MODULES = made.modules(
    made.module("songs", DATA, DATA + 0x30, "O"),
    made.module("part", DATA + 0x1000, DATA + 0x1030),
)


def held(monkeypatch: pytest.MonkeyPatch, machine: Machine, *names: str) -> int | None:
    monkeypatch.setattr(module, "owner_of", lambda *found: made.owner(found[-1], "slab"))
    found = list_holder(machine.session, MODULES, list(names or ("songs",)), BAD)
    return int(found.address) if found is not None else None


def listed(first: int = FIRST, *, bad: int = SECOND) -> Machine:
    """A list of three in the module's data, of which one leads nowhere."""
    machine = Machine()
    machine.words(DATA, 7, 0, first, THIRD, 0, 0)
    links = {FIRST: (SECOND, HEAD), SECOND: (THIRD, FIRST), THIRD: (HEAD, SECOND)}
    links[bad] = (BAD, 0x4800000023)
    for entry, pair in links.items():
        machine.words(entry, *pair)
    return machine


@pytest.mark.parametrize("entry", [FIRST, SECOND, THIRD])
def test_the_entry_is_found_from_the_head_on(monkeypatch: pytest.MonkeyPatch, entry: int) -> None:
    assert held(monkeypatch, listed(bad=entry)) == entry


def test_lists_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert held(monkeypatch, listed(), "part", "other") is None


def test_what_is_no_list_is_not_gone_along(monkeypatch: pytest.MonkeyPatch) -> None:
    assert held(monkeypatch, listed(first=HEAD)) is None
    machine = listed()
    machine.words(FIRST, SECOND, 0)
    machine.words(THIRD, SECOND, 0)
    assert held(monkeypatch, machine) is None


def test_of_two_such_entries_neither_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = listed()
    other = THIRD + 0x100
    machine.words(DATA, 7, other, FIRST, THIRD, 0, 0)
    machine.words(other, BAD, DATA + 8)
    assert held(monkeypatch, machine) is None


def test_entries_may_lie_where_five_levels_of_page_tables_put_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = 0xFF11000003400000, 0xFF11000003400100
    machine = Machine()
    machine.words(DATA, 7, 0, first, second, 0, 0)
    machine.words(first, BAD, HEAD)
    machine.words(second, HEAD, first)
    assert held(monkeypatch, machine) == first

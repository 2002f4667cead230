"""Modules that hold an object through one of their own."""

from __future__ import annotations

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.memory import held_through as tested
from oopsight.evidence.memory.held_through import held_through

DATA = 0xFFFFFFFFC0400000
HEAD = DATA + 8
FIRST, SECOND, OTHER, TARGET = (0xFFFF888003400000 + 0x100 * number for number in range(4))
SIZE = 0x40
MODULES = made.modules(
    made.module("wall", DATA, DATA + 0x20, "O"),
    made.module("part", DATA + 0x1000, DATA + 0x1020),
)
KINDS = {FIRST: 1, SECOND: 1, OTHER: 2, TARGET: 3}


def held(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> list[tuple[str, int]]:
    def thing(_: object, address: int) -> tuple[int, int, int] | None:
        begin = address & ~0xFF
        return (begin, SIZE, KINDS[begin]) if begin in KINDS else None

    monkeypatch.setattr(tested, "_object", thing)
    found = held_through(machine.session, MODULES, TARGET, TARGET + SIZE)
    return [(one.module, int(one.memory.address)) for one in found]


def listed(**of: int) -> Machine:
    """A module with a list of two objects, and the words of these beside the list's."""
    machine = Machine()
    machine.words(DATA, 7, FIRST, SECOND, 0)
    machine.words(DATA + 0x1000, TARGET, TARGET, TARGET, TARGET)
    links = {FIRST: (SECOND, HEAD), SECOND: (HEAD, FIRST)}
    for name, begin in (("first", FIRST), ("second", SECOND), ("other", OTHER)):
        machine.words(begin, *links.get(begin, (0, 0)), of.get(name, 0), 0, 0, 0, 0, 0)
    machine.words(TARGET, 0, 0, 0, 0, 0, 0, 0, 0)
    return machine


@pytest.mark.parametrize("entry", ["first", "second"])
def test_an_entry_of_its_list_points_to_it(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    at = {"first": FIRST, "second": SECOND}[entry] + 16
    assert held(monkeypatch, listed(**{entry: TARGET + 8})) == [("wall", at)]


def test_objects_of_another_kind_that_an_entry_leads_to_are_not_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert held(monkeypatch, listed(first=OTHER, other=TARGET)) == []


def test_who_holds_nothing_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert held(monkeypatch, listed()) == []


def test_what_the_kernel_has_linked_with_its_own_does_not_hide_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The first variable's list is longer than anybody goes along.
    monkeypatch.setattr(tested, "_MOST_OBJECTS", 2)
    machine = listed(other=TARGET)
    machine.words(DATA, 7, FIRST, OTHER, 0)
    assert held(monkeypatch, machine) == [("wall", OTHER + 16)]

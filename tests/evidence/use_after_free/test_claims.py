"""Whose an object is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free import claims
from oopsight.evidence.use_after_free.claims import claim_of

ONE = made.slab_object()
AT = int(ONE.address)
BOOK, JOBS = 0xFFFFFFFFC0400000, 0xFFFFFFFFC0500000
SIZE = 0x100
DATA = JOBS + 0x40
TABLE = AT + 0x10000
CONTENT = (0x1122334455667788, 0x99AABBCCDDEEFF00, 0x0123456789ABCDEF)
MODULES = made.modules(
    made.module("book", BOOK, BOOK + SIZE, "O"),
    made.module("jobs", JOBS, JOBS + SIZE, "O"),
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """An object that nobody has, and two modules with nothing in their data."""
    found = Machine()
    found.words(AT - 8, 0, *CONTENT, *([0] * (ONE.size // 8 - len(CONTENT))))
    data(found, BOOK)
    data(found, JOBS)
    found.symbols = {DATA: ("jobs_table", 0x40), JOBS: ("jobs_run", 0x20)}
    owners = {TABLE: made.slab_object(address=Address(TABLE), cache="kmalloc-64", size=64)}

    def owner_of(_session: Any, _modules: Any, address: int) -> Any:
        slab = owners.get(address)
        return made.owner(address, "slab" if slab else "unknown", slab=slab)

    monkeypatch.setattr(claims, "owner_of", owner_of)
    code = SimpleNamespace(code_symbol=lambda at: ("jobs_run", JOBS, 0x20) if at == JOBS else None)
    monkeypatch.setattr(claims, "SessionReader", lambda _: code)
    return found


def data(machine: Machine, module: int, *words: int) -> None:
    """Put words into a module's data, and zeros around them."""
    begin = [0] * (0x40 // 8)
    machine.words(module, *begin, *words, *([0] * (SIZE // 8 - len(begin) - len(words))))


def claim(machine: Machine, user: str = "book", one: Any = ONE) -> str | None:
    found = claim_of(machine.session, MODULES, one, AT + 16, {user})
    return None if found is None else f"{found.module.name}: {found.text}"


def test_nobody_has_it(machine: Machine) -> None:
    assert claim(machine) is None


def test_a_variable_has_its_address(machine: Machine) -> None:
    data(machine, JOBS, 0, AT)
    data(machine, BOOK, AT)
    assert claim(machine) == "jobs: the variable jobs_table of jobs has its address"
    assert claim(machine, "jobs") == "book: the variable book + 0x40 of book has its address"


def test_a_pointer_into_it_is_no_claim(machine: Machine) -> None:
    data(machine, JOBS, 0, AT + 8)
    assert claim(machine) is None


def test_a_table_has_its_address(machine: Machine) -> None:
    data(machine, JOBS, TABLE)
    machine.words(TABLE, 0, AT, *([0] * 6))
    assert claim(machine) == "jobs: what the variable jobs_table of jobs points to has its address"
    machine.words(TABLE, 0, AT + 8, *([0] * 6))
    assert claim(machine) is None


def test_it_is_in_a_chain_of_its_kind(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [AT + 0x1000, AT + 0x2000]
    alike = {at: replace(ONE, address=Address(at)) for at in places}

    def owner_of(_session: Any, _modules: Any, address: int) -> Any:
        slab = alike.get(address)
        return made.owner(address, "slab" if slab else "unknown", slab=slab)

    monkeypatch.setattr(claims, "owner_of", owner_of)
    rest = [0] * (ONE.size // 8 - 2)
    machine.words(places[0], 7, places[1], *rest)
    machine.words(places[1], 8, AT, *rest)
    data(machine, JOBS, 0, places[0])
    expected = "jobs: it is in the chain that the variable jobs_table of jobs begins"
    assert claim(machine) == expected
    # The chain goes on past it.
    machine.words(places[1], 8, AT + 8, *rest)
    assert claim(machine) is None


def test_it_names_a_function(machine: Machine) -> None:
    memory = BytesPointer(Address(AT + 24), "00" * 8)
    named = Reference(24, Address(JOBS), "jobs_run", "jobs", memory)
    assert claim(machine, one=replace(ONE, refers=(named,))) == "jobs: it names jobs_run of jobs"
    # What names its user's is its user's.
    data(machine, BOOK, AT)
    assert claim(machine, "jobs", replace(ONE, refers=(named,))) is None
    # A device names its driver, whoever made it.
    driver = replace(named, value=Address(DATA), symbol="jobs_driver")
    data(machine, BOOK)
    assert claim(machine, one=replace(ONE, refers=(driver,))) is None


def test_it_begins_with_what_a_module_has(machine: Machine) -> None:
    data(machine, JOBS, 5, *CONTENT)
    assert claim(machine) == "jobs: it begins with what jobs_table of jobs holds"
    # Both may have it from there.
    data(machine, BOOK, *CONTENT)
    assert claim(machine) is None


def test_a_copy_that_begins_before_it_ran_over_it(machine: Machine) -> None:
    machine.words(AT - 8, 5, *CONTENT, *([0] * (ONE.size // 8 - len(CONTENT))))
    data(machine, JOBS, 5, *CONTENT)
    assert claim(machine) is None


def test_what_anything_begins_with_is_no_copy(machine: Machine) -> None:
    machine.words(AT - 8, 1, 0, 0, 0, *([0] * (ONE.size // 8 - 3)))
    assert claim(machine) is None

"""Who is handed a new object in place of who sets its field, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_driver import Driver

from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.siblings import siblings

# [rdi + 8] = rdi; ret, and [rdi + 0x10] = rdi; ret
SETS, OTHER = ("48897f08", "c3"), ("48897f10", "c3")
# rdi = rax; if (esi) one, else the other
PROBE = (
    "53",
    "call kmalloc_trace",
    "4889c7 85f6 7407",
    "call setup",
    "eb05",
    "call polled",
    "5bc3",
)
USES = {
    "setup": FieldUse((), (Stored(8, "itself", None),), counts=False, sets=frozenset([8])),
    "polled": FieldUse((), (), counts=False, sets=frozenset([16])),
}


@pytest.fixture(autouse=True)
def _all_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())


def found(
    *probe: str, polled: tuple[str, ...] = OTHER, uses: dict[str, FieldUse] = USES
) -> tuple[str, ...]:
    driver = Driver(setup=SETS, polled=polled, probe=probe)
    return siblings(driver.ownership(), ["setup"], uses)


def test_who_is_handed_it_instead() -> None:
    assert found(*PROBE) == ("polled",)


def test_what_was_not_made_there_may_be_set_up_already() -> None:
    # An ioctl handler, say, that hands on what it was given.
    assert found("85f6 7407", "call setup", "eb05", "call polled", "c3") == ()


def test_who_frees_it_or_sets_the_field_as_well_or_writes_nothing() -> None:
    assert found(*PROBE, polled=("jmp kfree",)) == ()
    assert found(*PROBE, polled=("jmp setup",)) == ()
    assert found(*PROBE, uses={**USES, "polled": FieldUse((), (), counts=False)}) == ()


def test_one_after_the_other() -> None:
    after = ("53", "call kmalloc_trace", "4889c3 4889df", "call setup", "4889df", "call polled")
    assert found(*after, "5bc3") == ()

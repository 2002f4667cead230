"""Who ends I/O on some ways only."""

from __future__ import annotations

import pytest
from handmade_driver import DRIVER, MODULES, Driver

from oopsight.evidence.hangs import unended_io
from oopsight.evidence.modules import module_roles

# copy(disk, bio): if [disk + 8] is zero, return; bio_endio(bio)
COPY = ("8b4708 85c0 7409 4889f7", "call bio_endio", "90 c3")


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (COPY, False),  # what it is handed is looked at as a request, or bio
        (("4889f7", "jmp bio_endio"), False),  # on every way
        # else list_add(bio, disk + 0x10)
        (("8b4708 85c0 740a 4889f7", "call bio_endio", "90 c3 48897710 c3"), False),
        # One that it has in a list; else it counts
        (("488b7f10 85f6 7407", "call bio_endio", "90 c3 83470c01 c3"), True),
        (("c3",), False),
    ],
)
def test_ways_without_an_end(
    monkeypatch: pytest.MonkeyPatch, code: tuple[str, ...], *, found: bool
) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    driver = Driver(copy=code)
    told = unended_io._of(driver.session, MODULES, DRIVER)
    assert [name for name, _ in told.functions] == (["copy"] if found else [])

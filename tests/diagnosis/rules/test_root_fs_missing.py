"""A boot that found no root."""

from __future__ import annotations

import pytest
from handmade_facts import ABSENT, log

from oopsight.diagnosis import Clear, Finding, Undecided
from oopsight.diagnosis.rules.root_fs_missing import root_fs_missing


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("VFS: Unable to mount root fs on unknown-block(0,0)", "could not be mounted"),
        ("No working init found.  Try passing init= option to kernel.", "started as init"),
        ("Requested init /sbin/init failed (error -2).", "asked for on the command line"),
    ],
)
def test_found_with_what_was_said_before(message: str, meaning: str) -> None:
    hint = 'VFS: Cannot open root device "sda1" or unknown-block(0,0): error -6'
    found = root_fs_missing(log(hint, f"Kernel panic - not syncing: {message}"))
    assert isinstance(found, Finding)
    assert meaning in found.title
    assert hint in found.chain[1].claim


def test_clear_and_undecided() -> None:
    assert isinstance(root_fs_missing(log("VFS: Unable to mount root fs, trying again")), Clear)
    assert isinstance(root_fs_missing(ABSENT), Undecided)

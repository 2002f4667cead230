"""A file system mounted so that errors panic."""

from __future__ import annotations

import pytest
from handmade_facts import ABSENT, log

from oopsight.diagnosis import Clear, Finding, Undecided
from oopsight.diagnosis.rules.filesystem_error import filesystem_error

PANIC = "Kernel panic - not syncing: "
ERROR = "EXT4-fs error (device sda2): htree_dirblock_to_tree:1109: inode #16: bad entry"


@pytest.mark.parametrize(
    ("message", "device"),
    [
        ("EXT4-fs (device sda2): panic forced after error", "sda2"),
        ("EXT4-fs panic from previous error (device dm-3): panic from previous error", "dm-3"),
        ("BTRFS panic (device vdb in btrfs_search_slot:12): corrupted", "vdb"),
        ("FAT-fs (sdb1): fs panic from previous error: panic from previous error", "sdb1"),
    ],
)
def test_found(message: str, device: str) -> None:
    found = filesystem_error(log(PANIC + message))
    assert isinstance(found, Finding)
    assert device in (found.culprits[0].object or "")


def test_disk_and_damage_come_first() -> None:
    disk = "I/O error, dev sda2, sector 2048 op 0x0:(READ)"
    panic = PANIC + "EXT4-fs (device sda2): panic forced after error"
    found = filesystem_error(log(disk, ERROR, panic))
    assert isinstance(found, Finding)
    assert [s.because[0].text for s in found.chain] == [disk, ERROR, panic]  # type: ignore[union-attr]


def test_clear_and_undecided() -> None:
    assert isinstance(filesystem_error(log(ERROR)), Clear)
    assert isinstance(filesystem_error(log(PANIC + "hung_task: blocked tasks")), Clear)
    assert isinstance(filesystem_error(ABSENT), Undecided)

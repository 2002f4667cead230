from __future__ import annotations

import json
import os
from collections.abc import Sequence

from trees import FakeProbe, Tree

from oopsight.kdump import last
from oopsight.kdump.checks import Host
from oopsight.kdump.host import Ran
from oopsight.kdump.last import Cause

BOOTED = 1_700_000_000
PANIC = "[ 9.1] BUG: unable to handle page fault for address: ffffffffc0395070"


class Journal(FakeProbe):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def run(self, argv: Sequence[str], timeout: float = 600) -> Ran | None:
        return Ran(0, self.text, "")


def put_dump(tree: Tree, age: int = 60) -> None:
    tree.put("/proc/stat", f"btime {BOOTED}\n")
    tree.put("/var/crash/202311142210/dump.202311142210", "dump")
    place = tree.folder / "var/crash/202311142210/dump.202311142210"
    os.utime(place, (BOOTED - age, BOOTED - age))


def find(tree: Tree, journal: str = "") -> last.Ending:
    return last.find(Host(tree.host.root, Journal(journal)))


def test_the_report_beside_the_dump_speaks_first(tree: Tree) -> None:
    put_dump(tree)
    report = json.dumps({"verdict": "vmsecmod left a pointer behind"})
    tree.put("/var/crash/202311142210/report.json", report)
    ending = find(tree)
    assert ending.cause is Cause.CRASH
    assert ending.verdict == "vmsecmod left a pointer behind"


def test_without_a_report_the_log_beside_the_dump(tree: Tree) -> None:
    put_dump(tree)
    tree.put("/var/crash/202311142210/dmesg.202311142210", f"[ 1.0] fine\n{PANIC}\n")
    assert "unable to handle page fault" in find(tree).verdict


def test_a_dump_of_last_month_is_not_the_last_ending(tree: Tree) -> None:
    put_dump(tree, age=30 * 86400)
    assert find(tree, "x systemd[1]: Reached target Power-Off.").cause is Cause.ORDERLY


def test_pstore(tree: Tree) -> None:
    tree.put("/sys/fs/pstore/dmesg-efi-1", f"Panic#1 Part1\n{PANIC}\n")
    assert find(tree).cause is Cause.CRASH


def test_an_orderly_reboot_and_by_whom(tree: Tree) -> None:
    ending = find(
        tree,
        "h sudo[12]: anna : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/sbin/reboot\n"
        "h systemd[1]: Reached target reboot.target - System Reboot.\n",
    )
    assert ending.cause is Cause.ORDERLY
    assert "anna" in ending.verdict


def test_power_loss_is_not_called_a_crash(tree: Tree) -> None:
    ending = find(tree, "h cron[1]: run\nh kernel: eth0: link up\n")
    assert ending.cause is Cause.CUT_OFF
    assert "power loss" in ending.verdict


def test_no_record_is_unknown(tree: Tree) -> None:
    assert find(tree).cause is Cause.UNKNOWN


def test_records_cannot_write_to_the_terminal(tree: Tree) -> None:
    tree.put("/sys/fs/pstore/dmesg-efi-1", "BUG: \x1b]0;owned\x07\n")
    assert find(tree).verdict.isprintable()

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from trees import FakeProbe, Tree, build

from oopsight.kdump import last, wtmp
from oopsight.kdump.checks import Host
from oopsight.kdump.host import Ran
from oopsight.kdump.last import Cause

BOOTED = 1_700_000_000
PANIC = "[ 9.1] BUG: unable to handle page fault for address: ffffffffc0395070"
REBOOT = "systemd[1]: Reached target reboot.target - System Reboot."
DUMP = "/var/crash/202311142210/dump.202311142210"
COMMAND_LINE = "Command line: BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 ro"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = build(tmp_path / "host", "debian12")
    made.put("/proc/stat", f"cpu 1\nbtime {BOOTED}\n")
    return made


class Journal(FakeProbe):
    """journalctl, with the lines of each boot by its number; times count back from this boot."""

    def __init__(self, boots: dict[int, list[tuple[float, str]]]) -> None:
        super().__init__()
        self.boots = boots

    def run(self, argv: Sequence[str], timeout: float = 600) -> Ran | None:
        if argv[0] != "journalctl":
            return None
        lines = self.boots.get(-int(argv[argv.index("-b") + 1]))
        if lines is None:
            return Ran(1, "", "no such boot")
        if "-k" in argv:
            lines = [(ago, text) for ago, text in lines if "kernel: " in text]
        if "cat" in argv:
            return Ran(0, "".join(f"{text.split(': ', 1)[1]}\n" for _, text in lines), "")
        return Ran(0, "".join(f"{BOOTED - ago:.6f} h {text}\n" for ago, text in lines), "")


def boot(*lines: tuple[float, str]) -> list[tuple[float, str]]:
    return [(9000, f"kernel: {COMMAND_LINE}"), *lines]


def put_dump(tree: Tree, ago: float = 60) -> None:
    tree.put(DUMP, "dump")
    os.utime(tree.folder / DUMP.lstrip("/"), (BOOTED - ago, BOOTED - ago))


def find(tree: Tree, *boots: list[tuple[float, str]]) -> last.Ending:
    return last.find(Host(tree.host.root, Journal(dict(enumerate(boots, 1)))))


def test_the_report_beside_the_dump_speaks_first(tree: Tree) -> None:
    put_dump(tree)
    verdict = {"title": "t", "cause": "unloaded_module_pointer", "summary": "vmsecmod left it"}
    tree.put("/var/crash/202311142210/report.json", json.dumps({"verdict": verdict}))
    ending = find(tree, boot((120, "cron[1]: run")))
    assert (ending.cause, ending.verdict) == (Cause.CRASH, "vmsecmod left it")
    assert DUMP in ending.because


def test_a_report_without_a_cause_claims_none(tree: Tree) -> None:
    put_dump(tree)
    verdict = {"title": "general protection fault", "cause": None, "summary": "No rule explains it"}
    tree.put("/var/crash/202311142210/report.json", json.dumps({"verdict": verdict}))
    assert find(tree).verdict == "general protection fault (no rule explains it)"


def test_without_a_report_the_log_beside_the_dump(tree: Tree) -> None:
    put_dump(tree)
    tree.put("/var/crash/202311142210/dmesg.202311142210", f"[ 1.0] fine\n{PANIC}\n")
    assert "unable to handle page fault" in find(tree, boot((90, "cron[1]: run"))).verdict


def test_a_dump_of_last_month_is_not_the_last_ending(tree: Tree) -> None:
    put_dump(tree, ago=30 * 86400)
    assert find(tree, boot((30, REBOOT))).cause is Cause.ORDERLY
    assert find(tree, boot((30, "cron[1]: run"))).cause is Cause.CUT_OFF
    assert find(tree).cause is Cause.UNKNOWN


def test_a_dump_from_before_an_orderly_reboot_is_another_story(tree: Tree) -> None:
    put_dump(tree, ago=3600)
    assert find(tree, boot((3000, "cron[1]: run"), (30, REBOOT))).cause is Cause.ORDERLY


def test_a_reset_soon_after_a_crash_is_not_that_crash(tree: Tree) -> None:
    put_dump(tree, ago=100)
    run = [(80.0, f"kernel: {COMMAND_LINE}"), (20.0, "cron[1]: run")]
    assert find(tree, run).cause is Cause.CUT_OFF


def test_the_boot_of_the_capture_kernel_is_passed_over(tree: Tree) -> None:
    """On Debian it leaves a boot in the journal, which ends in an orderly reboot."""
    put_dump(tree, ago=100)
    capture = [
        (160.0, f"kernel: {COMMAND_LINE} elfcorehdr=0x3a000000"),
        (90.0, REBOOT),
    ]
    assert find(tree, capture, boot((200, "cron[1]: run"))).cause is Cause.CRASH


def test_pstore(tree: Tree) -> None:
    tree.put("/sys/fs/pstore/dmesg-efi-1", f"Panic#1 Part1\n{PANIC}\n")
    assert find(tree, boot((60, "cron[1]: run"))).cause is Cause.CRASH


def test_pstore_records_of_long_ago_do_not_count(tree: Tree) -> None:
    path = "/var/lib/systemd/pstore/1234/dmesg.txt"
    tree.put(path, PANIC)
    os.utime(tree.folder / path.lstrip("/"), (BOOTED - 90_000, BOOTED - 90_000))
    assert find(tree, boot((60, "cron[1]: run"))).cause is Cause.CUT_OFF


def test_an_orderly_reboot_and_by_whom(tree: Tree) -> None:
    who = "sudo[12]: anna : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/systemctl reboot"
    ending = find(tree, boot((40, who), (30, REBOOT)))
    assert ending.cause is Cause.ORDERLY
    assert "by anna: /usr/bin/systemctl reboot" in ending.verdict


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("systemd-logind[7]: Power key pressed short.", "Power key pressed"),
        ("systemd[1]: Ctrl-Alt-Del was pressed", "keyboard"),
        ("systemd-logind[7]: New session 3 of user root.", "logged in: root"),
        ("qemu-ga[9]: info: guest-shutdown called, mode: powerdown", "hypervisor"),
    ],
)
def test_what_else_asks_for_a_shutdown(tree: Tree, line: str, words: str) -> None:
    assert words in find(tree, boot((40, line), (30, REBOOT))).verdict


def test_an_oops_hours_before_an_orderly_reboot_did_not_end_the_run(tree: Tree) -> None:
    assert find(tree, boot((8000, f"kernel: {PANIC}"), (30, REBOOT))).cause is Cause.ORDERLY


def test_a_panic_in_the_last_lines_is_the_end(tree: Tree) -> None:
    ending = find(
        tree, boot((31, f"kernel: {PANIC}"), (30, "kernel: Kernel panic - not syncing: x"))
    )
    assert ending.cause is Cause.CRASH
    assert "unable to handle page fault" in ending.verdict


def test_a_program_that_says_bug_is_no_kernel(tree: Tree) -> None:
    assert find(tree, boot((31, "app[3]: BUG: in my parser"))).cause is Cause.CUT_OFF


def test_power_loss_is_not_called_a_crash(tree: Tree) -> None:
    ending = find(tree, boot((50, "cron[1]: run"), (40, "kernel: eth0: link up")))
    assert ending.cause is Cause.CUT_OFF
    assert "power loss" in ending.verdict


def test_the_watchdog_says_that_it_was_it(tree: Tree) -> None:
    tree.put("/sys/class/watchdog/watchdog0/bootstatus", "32\n")
    ending = find(tree, boot((50, "cron[1]: run")))
    assert ending.cause is Cause.RESET
    assert "watchdog" in ending.verdict
    assert find(tree, boot((50, REBOOT))).cause is Cause.ORDERLY


def record(kind: int, user: bytes, time: float) -> bytes:
    return wtmp.RECORD.pack(kind, 0, b"~", b"~~", user, b"", 0, 0, 0, int(time), 0, b"")


@pytest.mark.parametrize(
    ("shut_down", "cause"), [(BOOTED - 40, Cause.ORDERLY), (None, Cause.UNKNOWN)]
)
def test_without_a_journal_wtmp(tree: Tree, shut_down: int | None, cause: Cause) -> None:
    records = record(2, b"reboot", BOOTED - 9000)
    records += record(1, b"shutdown", shut_down) if shut_down else b""
    tree.put_bytes(wtmp.PATH, records + record(2, b"reboot", BOOTED) + b"torn")
    assert find(tree).cause is cause


def test_the_capture_kernels_run_in_wtmp_is_passed_over(tree: Tree) -> None:
    put_dump(tree, ago=100)
    rows = [(2, b"reboot", 9000), (2, b"reboot", 160), (1, b"shutdown", 90), (2, b"reboot", 0)]
    content = b"".join(record(kind, user, BOOTED - ago) for kind, user, ago in rows)
    tree.put_bytes(wtmp.PATH, content)
    assert find(tree).cause is Cause.CRASH


def test_a_utmp_record_has_its_size() -> None:
    assert wtmp.RECORD.size == 384
    assert struct.calcsize("<h2xi") == 8


def test_no_record_is_unknown(tree: Tree) -> None:
    assert find(tree).cause is Cause.UNKNOWN


def test_records_cannot_write_to_the_terminal(tree: Tree) -> None:
    tree.put("/sys/fs/pstore/dmesg-efi-1", "BUG: \x1b]0;owned\x07\n")
    assert find(tree).verdict.isprintable()

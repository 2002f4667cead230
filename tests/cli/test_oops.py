from __future__ import annotations

import json
from pathlib import Path

import pytest

from oopsight.cli import main


def test_a_log_becomes_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    log.write_text("divide error: 0000 [#1] SMP\nRIP: 0010:widget_rate+0x1/0x2\n")
    assert main(["oops", "--json-lines", str(log)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "divide-error"
    assert document["function"] == "widget_rate"
    assert document["more"] == []


def test_a_log_without_a_crash_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    log.write_text("hello\n")
    assert main(["oops", "--json", str(log)]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "not-a-crash"


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oops", str(tmp_path / "none")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


NULL = """\
BUG: kernel NULL pointer dereference, address: 0000000000000010
Oops: 0000 [#1] SMP
CPU: 1 PID: 77 Comm: reader\x1b[2J Tainted: G           O      6.1.0-9-amd64 #1
RIP: 0010:widget_read+0x1a/0x40 [widget]
Code: 90 <48> 8b 40 10
RAX: 0000000000000000 RBX: 0000000000000001 RCX: 0000000000000002
Modules linked in: widget(O) [last unloaded: gadget]
Call Trace:
 ? stale_leftover+0x1/0x20
 vfs_read+0x9d/0x2a0
"""


def test_the_first_crash_has_every_field_at_the_top(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    log.write_text(NULL + "divide error: 0000 [#2] SMP\nRIP: 0010:widget_rate+0x1/0x2\n")
    assert main(["oops", "--json", str(log)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["title"].endswith("dereference in widget_read")
    assert [one["trust"] for one in document["trace"]] == ["reliable", "unsure", "reliable"]
    assert document["registers"]["RAX"] == "0x0"
    assert document["code"]["words"] == "read of 8 bytes at rax+0x10 = 0x10, rax = 0"
    assert document["taints"] == [
        {"letter": "O", "meaning": "a module from outside the kernel tree was loaded"}
    ]
    assert (document["modules"], document["last_unloaded"]) == (["widget"], "gadget")
    assert document["task"]["pid"] == 77
    assert document["verdict"]["cause"] == "null_dereference"
    assert [one["kind"] for one in document["more"]] == ["divide-error"]


def test_a_block_for_people_lets_nothing_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    log.write_text(NULL)
    assert main(["oops", str(log)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "widget_read [widget] followed a NULL pointer" in out
    assert "read of 8 bytes at rax+0x10 = 0x10, rax = 0" in out


def test_parts_of_pstore_in_a_directory_are_one_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = NULL.splitlines(keepends=True)
    (tmp_path / "dmesg-efi-1").write_text("Panic#1 Part1\n" + "".join(lines[5:]))
    (tmp_path / "dmesg-efi-2").write_text("Panic#1 Part2\n" + "".join(lines[:5]))
    assert main(["oops", "--json-lines", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["registers"]["RAX"] == "0x0"


def test_a_compressed_log_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import gzip

    log = tmp_path / "log.gz"
    log.write_bytes(gzip.compress(NULL.encode()))
    assert main(["oops", "--json-lines", str(log)]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "null-deref"


def test_a_vmlinux_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text(NULL)
    assert main(["oops", "--vmlinux", str(tmp_path / "no"), str(tmp_path / "log")]) == 2
    assert "give the vmlinux" in capsys.readouterr().err

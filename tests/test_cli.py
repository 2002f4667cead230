"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from handmade_files import kdump, vmlinux

from oopsight.cli import main


def test_an_error_that_quotes_the_dump_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)
    path = tmp_path / "vmcore"
    path.write_bytes(kdump(vmcoreinfo=b"OSRELEASE=6.1\x1b[2J\nBUILD-ID=00aabb\n"))
    other = tmp_path / "vmlinux"
    other.write_bytes(vmlinux(b"\x99\x88"))
    assert main([str(path), "--vmlinux", str(other)]) == 4
    shown = capsys.readouterr().err
    assert "\\x1b[2J" in shown
    assert "\x1b" not in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said", "complained"),
    [
        (["--version"], 0, "oopsight ", ""),
        (["analyze", "/no/such/dump"], 3, "", "no such file"),
        (["analyze"], 2, "", "VMCORE"),
    ],
)
def test_a_process_says_everything_before_it_ends(
    arguments: list[str], code: int, said: str, complained: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "oopsight", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stdout
    assert complained in done.stderr

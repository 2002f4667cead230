"""The command line as a whole."""

from __future__ import annotations

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

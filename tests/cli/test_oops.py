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

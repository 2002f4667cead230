"""``--source``: the lines around the fault of a real dump, out of a tree with that file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lab_dumps import Maker

from oopsight.cli import main


def test_the_line_of_the_fault_is_shown(
    maker: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = maker.get(("incident", "6.1", "qmp"))
    (tmp_path / "lib").mkdir()
    lines = [f"/* line {number} of vsprintf.c */" for number in range(1, 4001)]
    (tmp_path / "lib" / "vsprintf.c").write_text("\n".join(lines))
    arguments = [str(dump.vmcore), "--debug-dir", str(dump.debug_dir), "--source", str(tmp_path)]
    output = tmp_path / "report.json"
    assert main(["analyze", *arguments, "--format", "json", "-o", str(output)]) == 0
    code = json.loads(output.read_text())["evidence"]["code"]
    name, _, number = code["source_file"].rpartition(":")
    assert name == "lib/vsprintf.c"
    assert [row["text"] for row in code["source"] if row["faulted"]] == [
        f"/* line {number} of vsprintf.c */"
    ]
    assert main(["analyze", *arguments]) == 0
    shown = capsys.readouterr().out.splitlines()
    marked = [line.split() for line in shown if line.startswith("  > ") and "of vsprintf.c" in line]
    assert marked == [[">", number, *f"/* line {number} of vsprintf.c */".split()]]

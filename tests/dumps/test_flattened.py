"""A dump as it arrives over a pipe, whole and cut off, of a real kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from lab_dumps import Maker, analysed, opened

from oopsight.cli import main


def test_a_flattened_dump_gives_the_same_verdict(maker: Maker, tmp_path: Path) -> None:
    dump = maker.get(("incident", "6.1", "kdump"))
    tool = shutil.which("makedumpfile", path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin")
    if tool is None:
        pytest.skip("makedumpfile is not installed")
    flat = tmp_path / "flat.vmcore"
    with flat.open("wb") as out:
        subprocess.run(
            [tool, "-F", "-l", "-d", "31", dump.vmcore],
            stdout=out,
            stderr=subprocess.PIPE,
            check=True,
        )
    whole, report = (
        analysed(opened(dump, None, dump.modules_dir)),
        analysed(opened(dump, flat, dump.modules_dir)),
    )
    assert report["dump"]["format"] == "kdump-flattened"
    assert report["verdict"] == whole["verdict"]
    assert report["chain"] == whole["chain"]
    for share in (0.99, 0.4):
        data = flat.read_bytes()
        cut, output = tmp_path / "cut.vmcore", tmp_path / "report.json"
        cut.write_bytes(data[: int(len(data) * share)])
        arguments = [str(cut), "--debug-dir", str(dump.debug_dir), "--format", "json"]
        assert main(["analyze", *arguments, "-o", str(output)]) in (0, 3)
        if output.exists():
            cut_report = json.loads(output.read_text())
            assert any("cut off" in problem for problem in cut_report["dump"]["problems"])
            assert cut_report["verdict"]["cause"] in (None, whole["verdict"]["cause"])
            output.unlink()

"""The example of the README: a real dump in the tree, which needs no debug package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oopsight.cli import main

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "incident.vmcore"
MOST = 8 << 20


def test_the_example_gives_its_verdict_without_debug_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert EXAMPLE.stat().st_size <= MOST
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    output = tmp_path / "report.json"
    arguments = [str(EXAMPLE), "--symbols", "dump"]
    assert main(["analyze", *arguments, "--format", "json", "-o", str(output)]) == 0
    report = json.loads(output.read_text())
    verdict = report["verdict"]
    assert (verdict["cause"], verdict["certainty"]) == ("unloaded_module_pointer", "inferred")
    assert verdict["culprit"]["module"] == "vmsecmod"
    assert verdict["file_accessed"] == "/proc/slabinfo"
    assert [task["comm"] for task in verdict["trigger"]["ancestry"]] == [
        "ss",
        "collect.sh",
        "automationd",
        "init",
    ]
    assert any("hash_info_mempool_name" in step["claim"] for step in report["chain"])
    assert [innocent["module"] for innocent in verdict["innocent"]] == ["vmseclic", "syshook_linux"]
    assert main(["verify", str(output), *arguments]) == 0

"""The way of a bad value is told in the kernel's own names of variables and members."""

from __future__ import annotations

import json

import pytest
from lab_dumps import Maker

from oopsight.cli import main


@pytest.mark.parametrize(
    ("kernel", "current"), [("6.1", "current_task"), ("6.12", "pcpu_hot.current_task")]
)
def test_the_member_that_was_null_and_the_one_that_was_wanted(
    maker: Maker, kernel: str, current: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = maker.get(("null-without-module", kernel, "qmp"))
    debug = ["--debug-dir", str(dump.debug_dir)]
    assert main(["analyze", str(dump.vmcore), *debug, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"]["summary"] == (
        "path_init followed a NULL pointer; it wanted struct fs_struct.seq.seqcount.sequence, "
        "at offset 0x8. It was read from struct task_struct.fs."
    )
    claims = [step["claim"] for step in report["chain"]]
    assert any(f"from {current} at 0x" in claim and "per-CPU" in claim for claim in claims)

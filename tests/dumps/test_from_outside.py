"""Dumps that a hypervisor made of guests which had told it nothing, and had not all panicked."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_dumps import Case, Maker, analysed, opened

from oopsight.cli import main
from oopsight.dump import identify

HANGS: Case = ("hang-unreported", "6.1", "libvirt-kdump")


@pytest.mark.parametrize("case", [HANGS, ("sysrq", "6.1", "libvirt")])
def test_the_note_is_found_in_the_memory(maker: Maker, case: Case) -> None:
    dump = maker.get(case)
    assert identify(dump.vmcore).release is None
    info = opened(dump).info
    assert info.recovered
    assert info.release == dump.truth["release"]


@pytest.mark.parametrize("case", [HANGS, ("sysrq", "6.1", "libvirt")])
def test_a_minicore_of_one_has_the_note(maker: Maker, case: Case, tmp_path: Path) -> None:
    dump, small = maker.get(case), tmp_path / "small.vmcore"
    line = [str(dump.vmcore), "--debug-dir", str(dump.debug_dir), "-o", str(small)]
    assert main(["minicore", *line]) == 0
    assert identify(small).release == dump.truth["release"]
    whole = analysed(opened(dump))
    assert analysed(opened(dump, small))["verdict"]["title"] == whole["verdict"]["title"]


def test_what_hangs_is_judged_though_nothing_was_reported(maker: Maker) -> None:
    report = analysed(opened(maker.get(HANGS)))
    assert report["verdict"]["kind"] == "hung-task"
    assert "panic" not in [entry["what"] for entry in report["timeline"]]
    absent = report["evidence"]["backtrace"]["missing"]
    assert absent["why"] == "not-applicable"


def test_no_task_is_told_to_have_panicked(maker: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    dump = maker.get(HANGS)
    line = ["shell", str(dump.vmcore), "--debug-dir", str(dump.debug_dir), "-c", "set"]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "TASK_RUNNING (ACTIVE)" in said
    assert "PANIC" not in said


@pytest.mark.parametrize("series", ["6.1", "6.12"])
def test_an_oops_that_the_machine_lived_on_after_is_judged_by_the_logs_registers(
    maker: Maker, series: str
) -> None:
    report = analysed(opened(maker.get(("oops-outlived", series, "libvirt-kdump"))))
    assert report["verdict"]["cause"] == "null_dereference"
    frames = report["evidence"]["backtrace"]["frames"]
    assert [one["function"] for one in frames[:3]] == [
        "baroscope_correct",
        "baroscope_read",
        "proc_reg_read",
    ]
    assert report["evidence"]["fault"]["address"] == "0x8"

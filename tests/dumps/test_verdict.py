"""The verdict on real dumps against the truth that was written before any rule."""

from __future__ import annotations

import copy
import json
import random
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from lab_dumps import CASES, Case, lab_dump, opened, report_of

from oopsight.cli import main
from oopsight.errors import VerificationError
from oopsight.report import analyze
from oopsight.report.verify import verify


def test_the_verdict_is_the_truth(case: Case) -> None:
    truth, verdict = lab_dump(case).truth, report_of(case)["verdict"]
    assert verdict["cause"] == truth["cause"]
    assert verdict["kind"] == truth["kind"]
    assert verdict["trigger"]["comm"] == truth["trigger_comm"]
    assert verdict["trigger"]["ancestry"][-1]["pid"] == 1
    assert verdict["file_accessed"] == truth["file_accessed"]
    if truth["faulting_function"]:
        assert verdict["faulting_function"] in (truth["faulting_function"], None)
    blamed = {culprit["module"] for culprit in verdict["culprits"]}
    assert blamed == ({truth["culprit_module"]} if truth["culprit_module"] else set())
    assert not blamed & set(truth["innocent_modules"])
    if truth["culprit_functions"]:
        assert verdict["culprit"]["function"] in truth["culprit_functions"]


def test_every_step_is_carried_by_the_dump_and_verifies(case: Case) -> None:
    report = json.loads(json.dumps(report_of(case)))
    assert report["chain"]
    assert all(step["because"] for step in report["chain"])
    count = verify(report, opened(lab_dump(case)))
    assert count == sum(len(step["because"]) for step in report["chain"])


def test_one_changed_byte_of_a_because_is_named(case: Case) -> None:
    report = json.loads(json.dumps(report_of(case)))
    session = opened(lab_dump(case))
    for step, item in enumerate(report["chain"]):
        for index, pointer in enumerate(item["because"]):
            for field in pointer:
                changed = copy.deepcopy(report)
                target: dict[str, Any] = changed["chain"][step]["because"][index]
                target[field] = _altered(target[field])
                with pytest.raises(VerificationError, match=f"step {step + 1}"):
                    verify(changed, session)


def _altered(value: object) -> object:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    text = str(value)
    return text[:-1] + ("1" if text[-1] != "1" else "2")


def test_a_report_does_not_verify_on_another_dump(case: Case) -> None:
    other = next(c for c in CASES if c[0] != case[0])
    with pytest.raises(VerificationError):
        verify(report_of(case), opened(lab_dump(other)))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_a_cut_dump_gives_no_wrong_verdict(case: Case, share: float, tmp_path: Path) -> None:
    dump = lab_dump(case)
    whole = dump.vmcore.read_bytes()
    cut = tmp_path / "cut.vmcore"
    cut.write_bytes(whole[: int(len(whole) * share)])
    output = tmp_path / "report.json"
    arguments = ["analyze", str(cut), "--debug-dir", str(dump.debug_dir), "--format", "json"]
    code = main([*arguments, "-o", str(output)])
    assert code in (0, 3)
    if code == 0:
        _is_no_wrong_verdict(json.loads(output.read_text()), dump.truth)


def test_a_holed_dump_gives_no_wrong_verdict(case: Case, tmp_path: Path) -> None:
    dump = lab_dump(case)
    data = bytearray(dump.vmcore.read_bytes())
    chance = random.Random(1)  # noqa: S311  # the holes shall be the same in each run
    # Behind the headers, bitmaps and page table: page data. A tenth of it is zeroed.
    pages = range(4 << 20, len(data) - 4096, 4096)
    for offset in chance.sample(pages, len(pages) // 10):
        data[offset : offset + 4096] = bytes(4096)
    holed = tmp_path / "holed.vmcore"
    holed.write_bytes(data)
    report = analyze(opened(dump, holed))
    _is_no_wrong_verdict(report, dump.truth)


def _is_no_wrong_verdict(report: dict[str, Any], truth: dict[str, Any]) -> None:
    verdict = report["verdict"]
    assert verdict["cause"] in (truth["cause"], None)
    for culprit in verdict["culprits"]:
        assert culprit["module"] in (truth["culprit_module"], None)
    failed = {
        name: fact["missing"]["detail"]
        for name, fact in report["evidence"].items()
        if "missing" in fact and fact["missing"]["why"] == "failed"
    }
    assert not failed
    assert not [u for u in report["undecided"] if "defect" in u["why"]]


def test_the_symbol_of_a_gone_module_is_named_from_its_file(case: Case) -> None:
    dump = lab_dump(case)
    symbol = dump.truth.get("object_symbol")
    report = analyze(opened(dump, None, dump.modules_dir))
    named = report["evidence"].get("gone_symbol", {}).get("name")
    assert named == symbol
    if symbol:
        assert any(symbol in step["claim"] for step in report["chain"])


def test_the_report_of_a_real_dump_fits_its_schema(case: Case) -> None:
    schema = resources.files("oopsight.report").joinpath("schema.json").read_text()
    jsonschema.validate(json.loads(json.dumps(report_of(case))), json.loads(schema))

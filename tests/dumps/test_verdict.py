"""The verdict on real dumps against the truth that was written before any rule."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from lab_dumps import (
    MATRIX,
    MISSES,
    Subject,
    analysed,
    essentials,
    opened,
    record,
    recorded,
)

from oopsight.diagnosis import rule_modules
from oopsight.errors import VerificationError
from oopsight.kernel.module_remains import Remains
from oopslab.judge import judge

SEEN: dict[str, dict[str, Any]] = {}
"""The last report of each scenario analysed in this run."""


def test_the_verdict_is_the_truth(subject: Subject, update: bool) -> None:
    """What is known to be wrong is listed by name; the list may be neither short nor stale.

    With a question mark: how the guest's memory was laid out decides whether the answer is known.
    It may be left open then, and never be wrong.
    """
    judgement = judge(subject.report, subject.truth)
    misses = judgement.wrong
    by_chance = [name for name in recorded(MISSES).get(subject.id, []) if name.endswith("?")]
    if update and not by_chance:
        confident = ["confident"] if judgement.confident_and_wrong else []
        record(MISSES, subject.id, [*misses, *confident] or None)
    listed = [name for name in recorded(MISSES).get(subject.id, []) if name != "confident"]
    open_ = {name.rstrip("?") for name in listed if name.endswith("?")}
    known = [name for name in listed if not name.endswith("?")]
    misses = [n for n in misses if n not in open_ or not judgement.answers[n].silent]
    details = {name: judgement.answers[name] for name in misses}
    assert misses == known, f"{details}: known are {known}; --update rewrites the list"


def test_no_confident_verdict_is_wrong_unnoticed(subject: Subject) -> None:
    listed = "confident" in recorded(MISSES).get(subject.id, [])
    assert judge(subject.report, subject.truth).confident_and_wrong == listed


def test_every_rule_comes_to_what_is_recorded(
    subject: Subject, update: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of an unloaded module is another in each crash.

    The line of a case is what is told where nothing is left. Where its description is, the same is
    told, and inferred; what else was seen to differ has a line of its own.
    """
    rules = [module.__name__.rpartition(".")[2] for module in rule_modules()]
    left = _left_of_modules(subject.report)
    bare = subject.report
    if left:
        monkeypatch.setattr(Remains, "descriptions", lambda _: [])
        bare = analysed(opened(subject.dump))
        assert not _left_of_modules(bare)
    found = essentials(bare, subject.truth, rules)
    whole = essentials(subject.report, subject.truth, rules)
    line = f"{subject.id}, {left}"
    expected = _with_description(found) if left == "described" else found
    if update:
        record(MATRIX, subject.id, found)
        if left:
            record(MATRIX, line, whole if whole != expected else None)
    lines = recorded(MATRIX)
    assert lines.get(subject.id) == found, "--update rewrites the matrix; read its diff"
    if left:
        assert lines.get(line, expected) == whole, "--update rewrites the matrix; read its diff"


def _left_of_modules(report: dict[str, Any]) -> str:
    """What the dump still has of unloaded modules: the owner's description, or only another's."""
    owner = report["evidence"].get("former_owner", {})
    if owner.get("description"):
        return "described"
    return "elsewhere" if owner.get("elsewhere") else ""


def _with_description(essential: dict[str, Any]) -> dict[str, Any]:
    kind, cause, _, faulting = essential["verdict"]
    return {**essential, "verdict": [kind, cause, "inferred", faulting]}


def test_no_defect_of_ours_is_in_the_report(subject: Subject) -> None:
    assert _defects(subject.report) == {}


def test_every_step_is_carried_by_the_dump_and_verifies(subject: Subject) -> None:
    chain = subject.report["chain"]
    # Without a cause the chain says how far the analysis came, which may be nowhere.
    assert chain or not subject.report["verdict"]["cause"]
    assert all(step["because"] for step in chain)
    count = subject.verifier.verify(subject.report)
    assert count == sum(len(step["because"]) for step in chain)


def test_one_changed_byte_of_a_because_is_named(subject: Subject) -> None:
    for step, item in enumerate(subject.report["chain"]):
        for index, pointer in enumerate(item["because"]):
            for field in pointer:
                changed = copy.deepcopy(subject.report["chain"])
                target: dict[str, Any] = changed[step]["because"][index]
                target[field] = _altered(target[field])
                with pytest.raises(VerificationError, match=f"step {step + 1}"):
                    subject.verifier.verify({**subject.report, "chain": changed})


def _altered(value: object) -> object:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    text = str(value)
    return text[:-1] + ("1" if text[-1:] != "1" else "2")


def test_a_report_does_not_verify_on_another_dump(subject: Subject) -> None:
    scenario = subject.case[0]
    other = next((r for name, r in SEEN.items() if name != scenario and r["chain"]), None)
    SEEN.clear()
    SEEN[scenario] = subject.report
    if other is None:
        pytest.skip("no dump with a verdict came before this one")
    with pytest.raises(VerificationError):
        subject.verifier.verify(other)


def test_a_cut_dump_gives_no_wrong_verdict(subject: Subject, tmp_path: Path) -> None:
    share = (0.9, 0.5, 0.25)[zlib.crc32(subject.id.encode()) % 3]
    whole = subject.dump.vmcore.read_bytes()
    cut = tmp_path / "cut.vmcore"
    cut.write_bytes(whole[: int(len(whole) * share)])
    assert _new_errors(cut, subject) == {}


def test_a_holed_dump_gives_no_wrong_verdict(subject: Subject, tmp_path: Path) -> None:
    data = bytearray(subject.dump.vmcore.read_bytes())
    chance = random.Random(subject.id)  # noqa: S311  # the holes shall be the same in each run
    # Behind the headers, bitmaps and page table: page data. A tenth of it is zeroed.
    pages = range(4 << 20, len(data) - 4096, 4096)
    for offset in chance.sample(pages, len(pages) // 10):
        data[offset : offset + 4096] = bytes(4096)
    holed = tmp_path / "holed.vmcore"
    holed.write_bytes(data)
    assert _new_errors(holed, subject) == {}


def _new_errors(damaged_dump: Path, subject: Subject) -> dict[str, Any]:
    """Confident errors that the whole dump has not led to as well, and defects of the program."""
    # By a program of its own, which gives the memory of a dump back when it ends.
    command = [sys.executable, "-m", "oopsight", "analyze", str(damaged_dump), "--format", "json"]
    command += ["--debug-dir", str(subject.dump.debug_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode not in (0, 3) or "Traceback" in done.stderr:
        return {"failed": done.stderr}
    if done.returncode:
        return {}
    report = json.loads(done.stdout)
    whole = judge(subject.report, subject.truth)
    damaged = judge(report, subject.truth)
    wrong = damaged.confident_and_wrong and not whole.confident_and_wrong
    return {**_defects(report), **({"wrong": damaged} if wrong else {})}


def _defects(report: dict[str, Any]) -> dict[str, str]:
    failed = {
        name: fact["missing"]["detail"]
        for name, fact in report["evidence"].items()
        if "missing" in fact and fact["missing"]["why"] == "failed"
    }
    return failed | {u["rule"]: u["why"] for u in report["undecided"] if "defect" in u["why"]}


def test_the_symbol_of_a_gone_module_is_named_from_its_file(subject: Subject) -> None:
    symbol = subject.truth.get("object_symbol")
    if symbol is None:
        return
    assert subject.report["evidence"]["former_owner"]["symbol"] == symbol
    assert any(symbol in step["claim"] for step in subject.report["chain"])


def test_the_report_of_a_real_dump_fits_its_schema(subject: Subject) -> None:
    schema = resources.files("oopsight.report").joinpath("schema.json").read_text()
    validator = jsonschema.Draft202012Validator(json.loads(schema))
    assert list(validator.iter_errors(subject.report)) == []

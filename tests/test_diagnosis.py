"""The machinery of rules: documentation, arguments, defects, and which finding wins."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from handmade_facts import backtrace, evidence, fault, modules

from oopsight import diagnosis
from oopsight.diagnosis import (
    SECTIONS,
    Certainty,
    Clear,
    Depth,
    Finding,
    Outcome,
    Undecided,
    diagnose,
    rule_modules,
    verdict,
)
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.fault import Fault

ROOT = Path(__file__).resolve().parent.parent


def name_of(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


@pytest.mark.parametrize("module", list(rule_modules()), ids=name_of)
def test_a_rule_is_named_after_its_file_and_documented_in_all_sections(module: ModuleType) -> None:
    assert callable(getattr(module, name_of(module)))
    doc = module.__doc__ or ""
    assert re.findall(r"^([A-Z].*)\n    \S", doc, re.MULTILINE) == list(SECTIONS)
    assert doc.splitlines()[0].endswith(".")


def test_a_missing_required_fact_leaves_the_rule_undecided() -> None:
    outcomes = diagnose(evidence(trace=backtrace()))
    answer = outcomes["null_dereference"]
    assert answer == Undecided("Fault: filtered out")


def test_a_fact_that_such_a_crash_does_not_have_clears_the_rule() -> None:
    hang = evidence(trace=backtrace())
    hang.facts[Fault] = Missing(Why.NOT_APPLICABLE, "no exception interrupted kernel code")
    answer = diagnose(hang)["null_dereference"]
    assert answer == Clear("Fault: no exception interrupted kernel code")


def test_a_missing_optional_fact_does_not() -> None:
    outcomes = diagnose(evidence(trace=backtrace(), fault=fault()))
    assert isinstance(outcomes["null_dereference"], Finding)


def test_a_defect_in_a_rule_costs_that_rule_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("oopsight.diagnosis.rules.broken")

    def rule(fault: Fault) -> Clear:
        raise ZeroDivisionError(fault.function)

    rule.__annotations__ = {"fault": Fault, "return": Clear}
    broken.__dict__["broken"] = rule
    known = list(rule_modules())
    monkeypatch.setattr(diagnosis, "rule_modules", lambda: iter([broken, *known]))
    outcomes = diagnose(evidence(trace=backtrace(), fault=fault(), modules=modules()))
    answer = outcomes["broken"]
    assert isinstance(answer, Undecided)
    assert "ZeroDivisionError: f" in answer.why
    assert len(outcomes) == len(known) + 1
    assert isinstance(outcomes["null_dereference"], Finding)


def finding(depth: Depth, certainty: Certainty) -> Finding:
    return Finding(title="t", summary="s", certainty=certainty, depth=depth, chain=())


def test_the_deepest_finding_wins_then_the_most_certain() -> None:
    outcomes: dict[str, Outcome] = {
        "symptom": finding(Depth.SYMPTOM, Certainty.SHOWN),
        "guess": finding(Depth.ROOT_CAUSE, Certainty.POSSIBLE),
        "cause": finding(Depth.ROOT_CAUSE, Certainty.INFERRED),
        "mechanism": finding(Depth.MECHANISM, Certainty.SHOWN),
        "clear": Clear("no"),
    }
    best = verdict(outcomes)
    assert best is not None
    assert best[0] == "cause"
    assert verdict({"clear": Clear("no"), "undecided": Undecided("?")}) is None


def test_the_documentation_of_the_rules_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("rule_docs", ROOT / "tools" / "rule_docs.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    written = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert written == generator.render(), "run tools/rule_docs.py"


def test_what_is_established_beats_what_is_merely_possible_but_a_symptom_does_not() -> None:
    guess = finding(Depth.ROOT_CAUSE, Certainty.POSSIBLE)
    mechanism = finding(Depth.MECHANISM, Certainty.SHOWN)
    symptom = finding(Depth.SYMPTOM, Certainty.SHOWN)
    assert (verdict({"a": guess, "b": mechanism}) or ("",))[0] == "b"
    assert (verdict({"a": guess, "b": symptom}) or ("",))[0] == "a"


def test_a_special_case_is_never_beaten_by_the_general_one() -> None:
    special = replace(finding(Depth.MECHANISM, Certainty.POSSIBLE), refines=("general",))
    general = finding(Depth.ROOT_CAUSE, Certainty.SHOWN)
    assert (verdict({"general": general, "special": special}) or ("",))[0] == "special"
    circle = {"a": replace(special, refines=("b",)), "b": replace(special, refines=("a",))}
    assert verdict(dict(circle)) is not None


def test_the_rules_that_a_rule_refines_exist() -> None:
    names = {name_of(module) for module in rule_modules()}
    for module in rule_modules():
        text = Path(module.__file__ or "").read_text(encoding="utf-8")
        for listed in re.findall(r"refines=\(([^)]*)\)", text):
            assert set(re.findall(r'"(\w+)"', listed)) <= names

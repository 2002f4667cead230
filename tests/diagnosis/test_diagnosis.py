from __future__ import annotations

import pytest

from oopsight.diagnosis import (
    SECTIONS,
    Certainty,
    Depth,
    Finding,
    Outcome,
    Undecided,
    diagnose,
    rule_modules,
    verdict,
)
from oopsight.evidence import Evidence, Missing, Why
from oopsight.evidence.fault import Fault

RULES = {module.__name__.rpartition(".")[2]: module for module in rule_modules()}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_documents_itself_in_all_sections(name: str) -> None:
    lines = (RULES[name].__doc__ or "").splitlines()
    assert [line for line in lines if line in SECTIONS] == list(SECTIONS)
    assert callable(getattr(RULES[name], name))


def test_a_missing_fact_leaves_the_rule_undecided() -> None:
    evidence = Evidence(None)
    evidence.facts[Fault] = Missing(Why.UNREADABLE, "page is not in the dump")
    outcomes = diagnose(evidence)
    assert set(outcomes) == set(RULES)
    assert outcomes["null_dereference"] == Undecided("Fault: page is not in the dump")


def found(depth: Depth, certainty: Certainty) -> Finding:
    return Finding(title="t", summary="s", certainty=certainty, depth=depth, chain=())


def test_the_deepest_finding_is_the_verdict_then_the_surest() -> None:
    outcomes: dict[str, Outcome] = {
        "symptom": found(Depth.SYMPTOM, Certainty.SHOWN),
        "guess": found(Depth.ROOT_CAUSE, Certainty.POSSIBLE),
        "cause": found(Depth.ROOT_CAUSE, Certainty.INFERRED),
        "open": Undecided("no symbols"),
    }
    best = verdict(outcomes)
    assert best is not None
    assert best[0] == "cause"
    assert verdict({"open": Undecided("no symbols")}) is None

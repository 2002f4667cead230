from __future__ import annotations

import pytest

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding
from oopsight.diagnosis.damage import allow_for_damage
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.integrity import Integrity

HOLED = Integrity(96, (Address(0xFFFFFFFF81003000),), ())
WHOLE = Integrity(96, (), ())


def finding(depth: Depth) -> Finding:
    return Finding(
        title="t",
        summary="s",
        certainty=Certainty.SHOWN,
        depth=depth,
        chain=(),
        culprits=(
            Culprit(None, "kernel_function", None, None, "on the path"),
            Culprit("mod", "mod_function", None, None, "read it"),
        ),
    )


@pytest.mark.parametrize("integrity", [WHOLE, Missing(Why.NO_SYMBOLS, "by hand")])
def test_a_whole_dump_changes_nothing(integrity: Integrity | Missing) -> None:
    outcomes = {"a": finding(Depth.MECHANISM), "b": Clear("no")}
    assert allow_for_damage(dict(outcomes), integrity) == outcomes


@pytest.mark.parametrize(
    ("depth", "certainty"),
    [
        (Depth.ROOT_CAUSE, Certainty.SHOWN),
        (Depth.MECHANISM, Certainty.POSSIBLE),
        (Depth.SYMPTOM, Certainty.POSSIBLE),
    ],
)
def test_with_holes_absence_proves_nothing(depth: Depth, certainty: Certainty) -> None:
    lowered = allow_for_damage({"a": finding(depth)}, HOLED)["a"]
    assert isinstance(lowered, Finding)
    assert lowered.certainty is certainty
    assert [culprit.module for culprit in lowered.culprits] == ["mod"]


def test_with_holes_there_may_be_another_than_the_one_inferred() -> None:
    inferred = replace(finding(Depth.ROOT_CAUSE), certainty=Certainty.INFERRED)
    lowered = allow_for_damage({"a": inferred}, HOLED)["a"]
    assert isinstance(lowered, Finding)
    assert lowered.certainty is Certainty.POSSIBLE


def test_with_holes_nobody_can_say_that_nothing_failed() -> None:
    asked_for = {"deliberate_panic": finding(Depth.ROOT_CAUSE)}
    lowered = allow_for_damage(dict(asked_for), HOLED)["deliberate_panic"]
    assert isinstance(lowered, Finding)
    assert lowered.certainty is Certainty.POSSIBLE
    assert allow_for_damage(dict(asked_for), WHOLE) == asked_for

from __future__ import annotations

import json
from typing import Any

import handmade_facts as made
import pytest

from oopsight.evidence import Missing, Why
from oopsight.evidence.recording import SCHEMA, BadRecordingError, record, restore

EVIDENCE = made.evidence(
    fault=made.fault(),
    trace=made.backtrace(),
    modules=made.modules(made.module("beta", 0, 64, "OE")),
    log=made.log("BUG: x"),
    task=made.task(),
    accessed=made.accessed(),
    dangling=made.dangling(made.BAD),
)


def plain() -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(json.dumps(record(EVIDENCE)))
    return recording


def test_what_is_written_is_read_again() -> None:
    again = restore(plain())
    assert again.facts == EVIDENCE.facts
    assert [type(fact) for fact in again.facts.values()] == [
        type(fact) for fact in EVIDENCE.facts.values()
    ]


def test_what_is_not_in_it_is_missing() -> None:
    from oopsight.evidence.crash.code import Code

    fact = restore({"schema": SCHEMA, "facts": {}}).get(Code)
    assert isinstance(fact, Missing)
    assert fact.why is Why.NOT_TOLD


@pytest.mark.parametrize(
    ("place", "fact", "says"),
    [
        ("oopsight.evidence.crash.log.Log", {"lines": 3}, "log.Log"),
        ("oopsight.evidence.crash.log.Log", {"colour": 3}, "is no Log"),
        ("oopsight.evidence.crash.log.Nothing", {}, "Nothing"),
        ("os.path.join", {}, "is no fact"),
        ("oopsight.evidence.modules.modules.Modules", {"loaded": "vmlinux"}, "Modules"),
    ],
)
def test_what_does_not_fit_is_refused(place: str, fact: Any, says: str) -> None:
    with pytest.raises(BadRecordingError, match=says):
        restore({"schema": SCHEMA, "facts": {place: fact}})


def test_another_schema_is_refused() -> None:
    with pytest.raises(BadRecordingError, match="evidence/0"):
        restore({"schema": "oopsight.evidence/0", "facts": {}})

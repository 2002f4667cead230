"""The report as data: it follows its published schema."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest
from handmade_facts import (
    BAD,
    accessed,
    backtrace,
    dangling,
    evidence,
    fault,
    log,
    modules,
    task,
)

import oopsight.report
from oopsight.diagnosis import Certainty, Culprit, Depth, Finding
from oopsight.evidence import Evidence
from oopsight.report import SCHEMA, Report, advice, build

TEXT = (Path(oopsight.report.__file__).with_name("schema.json")).read_text(encoding="utf-8")
VALIDATOR = jsonschema.Draft202012Validator(json.loads(TEXT))


def full() -> Report:
    return build(
        evidence(
            fault=fault(BAD),
            trace=backtrace(),
            modules=modules(),
            dangling=dangling(BAD),
            log=log("gone: bye", "BUG: unable to handle page fault"),
            task=task(),
            accessed=accessed(),
        )
    )


def test_the_schema_is_one_and_of_this_version() -> None:
    VALIDATOR.check_schema(VALIDATOR.schema)
    assert VALIDATOR.schema["properties"]["schema"]["const"] == SCHEMA


@pytest.mark.parametrize("made", [full(), build(evidence()), build(Evidence(None))])
def test_reports_follow_the_schema(made: Report) -> None:
    assert list(VALIDATOR.iter_errors(json.loads(json.dumps(made)))) == []


def test_the_schema_refuses_what_no_report_holds() -> None:
    made = json.loads(json.dumps(full()))
    assert made["verdict"]["cause"] == "unloaded_module_pointer"
    for path, value in ((("verdict", "certainty"), "sure"), (("chain",), [{"claim": "x"}])):
        wrong = copy.deepcopy(made)
        place = wrong
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert not VALIDATOR.is_valid(wrong)


def test_who_is_named_by_the_culprit_alone_is_told_where_to_look_first() -> None:
    found = Finding(
        title="BUG in napi_enable",
        summary="nic_start [nic] called it.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.SYMPTOM,
        chain=(),
        culprits=(Culprit("nic", "nic_quiesce", None, None, "switches off on some ways only"),),
        advice=("Read the check.",),
    )
    first = "Look first at nic_quiesce [nic]: switches off on some ways only."
    assert advice(found) == [first, "Read the check."]
    said = Finding(**{**vars(found), "summary": "nic_quiesce left it on."})
    assert advice(said) == ["Read the check."]
    nobody = Finding(**{**vars(found), "culprits": ()})
    assert advice(nobody) == ["Read the check."]

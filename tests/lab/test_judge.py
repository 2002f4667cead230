from __future__ import annotations

from typing import Any

from oopslab.judge import judge

TRUTH = {
    "kind": "page-fault",
    "cause": "use_after_free",
    "culprit_module": "acme",
    "culprit_functions": ["acme_release", "acme_close"],
    "innocent_modules": ["other"],
    "faulting_function": "strlen",
    "file_accessed": "/proc/acme",
    "trigger_comm": "cat",
}


def report(**changes: Any) -> dict[str, Any]:
    verdict = {
        "kind": "page-fault",
        "cause": "use_after_free",
        "certainty": "shown",
        "culprits": [{"module": "acme", "function": "acme_release"}],
        "faulting_function": "strlen",
        "file_accessed": "/proc/acme",
        "trigger": {"comm": "cat"},
    }
    return {"verdict": verdict | changes}


def test_a_right_report_has_no_wrong_answer() -> None:
    assert judge(report(), TRUTH).wrong == []
    assert judge(report(faulting_function=None), TRUTH).wrong == []


def test_each_wrong_answer_is_named() -> None:
    other = [{"module": "other", "function": "other_poll"}]
    judgement = judge(report(culprits=other, trigger=None, cause="bug_on"), TRUTH)
    assert judgement.wrong == [
        *("cause", "module", "function", "function of 3", "innocent", "trigger"),
    ]
    assert judgement.confident_and_wrong


def test_the_second_culprit_counts_among_three() -> None:
    culprits = [
        {"module": "acme", "function": "acme_poll"},
        {"module": "acme", "function": "acme_close"},
    ]
    judgement = judge(report(culprits=culprits), TRUTH)
    assert judgement.wrong == ["function"]
    assert judgement.confident_and_wrong


def test_silence_and_doubt_are_not_confident() -> None:
    nobody = [{"module": None, "function": "0xffffffffc0000000"}]
    assert judge(report(culprits=nobody), TRUTH).wrong == ["module", "function", "function of 3"]
    assert not judge(report(culprits=nobody), TRUTH).confident_and_wrong
    assert not judge(report(cause="bug_on", certainty="possible"), TRUTH).confident_and_wrong


def test_a_truth_without_culprit_demands_that_none_is_named() -> None:
    truth = TRUTH | {"culprit_module": None, "culprit_functions": [], "trigger_comm": None}
    assert judge(report(culprits=[], trigger=None), truth).wrong == []
    assert judge(report(), truth).wrong == ["module"]


def test_the_accessed_file_can_be_by_the_trigger() -> None:
    truth = TRUTH | {"file_accessed": {"cat": [None, "/proc/acme"]}, "trigger_comm": None}
    assert judge(report(), truth).wrong == []
    assert judge(report(file_accessed=None), truth).wrong == []
    assert judge(report(file_accessed="/proc/other"), truth).wrong == ["file"]
    assert judge(report(trigger={"comm": "ls"}), truth).wrong == ["file"]
    assert judge(report(trigger={"comm": "ls"}, file_accessed=None), truth).wrong == []

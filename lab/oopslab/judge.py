"""Holds a report against the truth that was written by hand: which of its answers are wrong.

It knows reports as plain JSON, so that it judges whatever printed them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONFIDENT = ("shown", "inferred")
"""Certainties that claim to know. A wrong answer under one of them is the worst that can be."""
_SUBJECTS = ("cause", "module", "function")
"""The answers whose error misleads the reader."""


@dataclass(frozen=True)
class Answer:
    """One answer of a report and what it should have been."""

    expected: Any
    got: Any
    right: bool
    silent: bool = False
    """Nothing was claimed, which is never misleading."""


@dataclass(frozen=True)
class Judgement:
    """The answers by their names; one that the truth leaves open is not there."""

    answers: Mapping[str, Answer]
    confident: bool

    @property
    def wrong(self) -> list[str]:
        """Names of the answers that are not right, in order."""
        return [name for name, answer in self.answers.items() if not answer.right]

    @property
    def confident_and_wrong(self) -> bool:
        """The report claims to know, and names a wrong cause, module or function."""
        return self.confident and any(
            not self.answers[name].right and not self.answers[name].silent
            for name in _SUBJECTS
            if name in self.answers
        )


def judge(report: Mapping[str, Any], truth: Mapping[str, Any]) -> Judgement:
    """Compare a report with a scenario's truth.

    A truth of None leaves the faulting function and the trigger open, as no functions do for the
    culprit's; for the module and the accessed file it says that none is to be named. A faulting
    function may be left out: with a panic called on purpose there is none in the dump. Where chance
    decides which task meets the crash, the accessed file is told for each: ``{"ls": ["/tmp/out",
    null]}`` lists all that a task of that name may have been at; any other task has none.
    """
    verdict = report["verdict"]
    culprits = verdict["culprits"]
    first = culprits[0] if culprits else {"module": None, "function": None}
    trigger = verdict["trigger"] or {"comm": None}
    functions = truth["culprit_functions"]
    answers = {
        "kind": _equal(truth["kind"], verdict["kind"]),
        "cause": _equal(truth["cause"], verdict["cause"]),
        "module": _equal(truth["culprit_module"], first["module"]),
    }
    if functions:
        named = [culprit["function"] for culprit in culprits]
        answers["function"] = _one_of(functions, named[:1])
        answers["function of 3"] = _one_of(functions, named[:3])
    blamed = {culprit["module"] for culprit in culprits} & set(truth["innocent_modules"])
    answers["innocent"] = Answer([], sorted(blamed), not blamed)
    answers["file"] = _file(truth["file_accessed"], verdict["file_accessed"], trigger["comm"])
    if truth["trigger_comm"] is not None:
        answers["trigger"] = _equal(truth["trigger_comm"], trigger["comm"])
    if truth["faulting_function"] and verdict["faulting_function"]:
        answers["faulting"] = _equal(truth["faulting_function"], verdict["faulting_function"])
    return Judgement(answers, verdict["certainty"] in CONFIDENT)


def _equal(expected: object, got: object) -> Answer:
    return Answer(expected, got, expected == got, silent=got is None)


def _file(expected: object, got: str | None, trigger: str | None) -> Answer:
    if not isinstance(expected, Mapping):
        return _equal(expected, got)
    allowed = expected.get(trigger, [None])
    return Answer(allowed, got, got in allowed, silent=got is None)


def _one_of(expected: list[str], got: list[str | None]) -> Answer:
    # An address in place of a name says honestly that the name was not found.
    named = [name for name in got if name is not None and not name.startswith("0x")]
    return Answer(expected, named, bool(set(named) & set(expected)), silent=not named)

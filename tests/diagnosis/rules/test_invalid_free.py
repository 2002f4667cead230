from __future__ import annotations

from handmade_facts import ABSENT, memory_report

from oopsight.diagnosis import Clear, Finding
from oopsight.diagnosis.rules.invalid_free import invalid_free
from oopsight.evidence.memory.memory_report import Mistake


def test_what_is_no_object_was_freed() -> None:
    answer = invalid_free(memory_report(Mistake.INVALID_FREE), ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "stg_work"


def test_other_reports_are_clear() -> None:
    assert isinstance(invalid_free(memory_report(Mistake.DOUBLE_FREE), ABSENT), Clear)
    assert isinstance(invalid_free(ABSENT, ABSENT), Clear)

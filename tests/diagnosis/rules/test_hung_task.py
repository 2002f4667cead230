"""A task that hangs where no lock explains it."""

from __future__ import annotations

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, call, lock, stack, symptom, waits

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.hung_task import hung_task
from oopsight.evidence.waiting import Wait
from oopsight.kinds import Kind

LONGEST = Wait(stack(1, call(3, "other")), None, 90.0)
NAMED = Wait(stack(2, call(3, "wait_ready"), call(4, "reset")), lock(LOCK_A), 9.0)
HUNG = symptom(Kind.HUNG_TASK, "INFO: task worker2:2 blocked for more than 4 seconds.")


def test_the_task_that_was_reported_is_taken() -> None:
    found = hung_task(HUNG, waits(LONGEST, NAMED))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["wait_ready", "reset"]
    assert found.certainty is Certainty.INFERRED


def test_without_a_name_the_longest_is_taken_and_only_possible() -> None:
    found = hung_task(symptom(Kind.HUNG_TASK), waits(LONGEST, NAMED))
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "other"
    assert found.certainty is Certainty.POSSIBLE


def test_clear_and_undecided() -> None:
    assert isinstance(hung_task(symptom(Kind.OOM), ABSENT), Clear)
    assert isinstance(hung_task(HUNG, ABSENT), Undecided)
    assert isinstance(hung_task(HUNG, waits()), Undecided)

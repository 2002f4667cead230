"""A work item that holds up its queue."""

from __future__ import annotations

from handmade_waits import LOCK_A, call, lock, memory, stack, waits

from oopsight.diagnosis import Clear, Finding, Undecided
from oopsight.diagnosis.rules.workqueue_stall import workqueue_stall
from oopsight.evidence.hangs.waiting import Lock, Wait

FLUSHER = Wait(stack(3, call(3, "sync")), lock(LOCK_A, 1, kind="work", known_by="worker"), 9.0)
WORKER = Wait(
    stack(1, call(3, "copy"), state="I"),
    Lock("event", LOCK_A, "site", because=(memory(LOCK_A),)),
    9.0,
    victim=False,
)


def test_the_work_item_is_to_blame_not_who_flushes() -> None:
    found = workqueue_stall(waits(FLUSHER, WORKER))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["copy"]
    assert all(step.because for step in found.chain)


def test_clear_and_undecided() -> None:
    assert isinstance(workqueue_stall(waits(WORKER)), Clear)
    assert isinstance(workqueue_stall(waits(FLUSHER)), Undecided)

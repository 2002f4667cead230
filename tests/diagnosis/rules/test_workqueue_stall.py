"""A work item that holds up its queue."""

from __future__ import annotations

from dataclasses import replace

from handmade_waits import LOCK_A, call, lock, memory, stack, waits

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Undecided
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


def test_a_work_item_that_runs_on_and_on_keeps_others_from_beginning() -> None:
    poll = Wait(stack(1, call(2, "poll"), call(3, "boot"), state="R"), None, 9.0, victim=False)
    for kind, certainty in (
        ("completion", Certainty.INFERRED),
        ("event", Certainty.POSSIBLE),
    ):
        wanted = lock(LOCK_A, 1, kind=kind, known_by="pool")
        wanted = replace(wanted, detail="which work item send is to signal")
        found = workqueue_stall(waits(Wait(stack(3, call(3, "write")), wanted, 9.0), poll))
        assert isinstance(found, Finding)
        assert [c.function for c in found.culprits] == ["poll", "boot"]
        assert found.certainty is certainty
        assert "hung_task" in found.refines


def test_a_worker_that_waits_for_a_lock_is_not_the_cause() -> None:
    behind = replace(
        WORKER, lock=Lock("percpu_rwsem", LOCK_A, "hotplug", because=(memory(LOCK_A),))
    )
    found = workqueue_stall(waits(FLUSHER, behind))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    assert (found.depth, found.refines) == (Depth.MECHANISM, ("hung_task",))


def test_clear_and_undecided() -> None:
    assert isinstance(workqueue_stall(waits(WORKER)), Clear)
    assert isinstance(workqueue_stall(waits(FLUSHER)), Undecided)

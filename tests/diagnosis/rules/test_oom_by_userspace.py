"""Processes that used the memory up."""

from __future__ import annotations

from dataclasses import replace

from handmade_exhaustion import use
from handmade_facts import ABSENT, log
from handmade_waits import symptom, task

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.oom_by_userspace import oom_by_userspace
from oopsight.evidence.exhaustion.memory_use import ProcessUse
from oopsight.kinds import Kind

OOM = symptom(Kind.OOM, "ls invoked oom-killer: gfp_mask=0x1100cca")


def test_the_process_that_holds_most_not_the_one_that_asked() -> None:
    found = oom_by_userspace(OOM, use(hog=8000), ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.SHOWN
    assert found.culprits[0].object == "hog9"
    assert "31 MiB (80 % of all)" in found.title
    assert all(step.because for step in found.chain)


def test_many_small_ones_or_shared_memory_are_only_inferred() -> None:
    many = replace(use(hog=8000), processes=(ProcessUse(task(9, "small"), 100, 80),))
    shared = use(hog=100, shmem=8000)
    for memory in (many, shared):
        found = oom_by_userspace(OOM, memory, ABSENT, ABSENT)
        assert isinstance(found, Finding)
        assert found.certainty is Certainty.INFERRED


def test_tables_that_map_a_process_are_the_process_s() -> None:
    answer = oom_by_userspace(OOM, use(hog=300, page_tables=7_000), ABSENT, ABSENT)
    assert isinstance(answer, Finding)


def test_a_control_group_at_its_limit_needs_no_full_machine() -> None:
    limit = log("oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task=hog,pid=9")
    found = oom_by_userspace(OOM, use(hog=1000, cache=1200), limit, ABSENT)
    assert isinstance(found, Finding)
    assert "control group" in found.chain[-1].claim


def test_clear_and_undecided() -> None:
    assert isinstance(oom_by_userspace(symptom(Kind.BUG), ABSENT, ABSENT, ABSENT), Clear)
    assert isinstance(oom_by_userspace(OOM, ABSENT, ABSENT, ABSENT), Undecided)
    assert isinstance(oom_by_userspace(OOM, use(hog=3000, cache=5000), ABSENT, ABSENT), Clear)
    nobody = replace(use(hog=8000), processes=())
    assert isinstance(oom_by_userspace(OOM, nobody, ABSENT, ABSENT), Undecided)

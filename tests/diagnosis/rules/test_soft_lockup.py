"""A CPU caught in a loop."""

from __future__ import annotations

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, call, cpu, cpus, spinning, stack, symptom

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.soft_lockup import soft_lockup
from oopsight.kinds import Kind

STUCK = symptom(Kind.SOFT_LOCKUP, "watchdog: BUG: soft lockup - CPU#1 stuck for 10s! [flowd:9]")
PLUMBING = call(3, "strncmp", None, plumbing="strings", in_loop=True)
KERNEL = call(4, "walk_range", None, in_loop=True)
DRIVER = call(5, "find", in_loop=True)
CALLER = call(6, "write")


def test_the_loop_in_the_module_is_to_blame() -> None:
    machine = cpus(
        cpu(0, stack(1, call(3, "idle")), panicking=True),
        cpu(1, stack(9, PLUMBING, KERNEL, DRIVER, CALLER, state="R")),
    )
    found = soft_lockup(STUCK, machine)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["find", "write"]
    assert found.certainty is Certainty.INFERRED
    assert all(step.because for step in found.chain)


def test_one_that_spins_or_does_not_loop_is_only_possible() -> None:
    for changes, calls in (({"spins_on": spinning(LOCK_A)}, (DRIVER,)), ({}, (CALLER,))):
        found = soft_lockup(STUCK, cpus(cpu(1, stack(9, *calls, state="R"), **changes)))
        assert isinstance(found, Finding)
        assert found.certainty is Certainty.POSSIBLE


def test_clear_and_undecided() -> None:
    assert isinstance(soft_lockup(symptom(Kind.OOM), ABSENT), Clear)
    assert isinstance(soft_lockup(STUCK, ABSENT), Undecided)
    assert isinstance(soft_lockup(STUCK, cpus(cpu(0, stack(1, DRIVER)))), Undecided)
    assert isinstance(soft_lockup(STUCK, cpus(cpu(1, stack(1, PLUMBING)))), Undecided)

"""A CPU caught in a loop."""

from __future__ import annotations

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, call, cpu, cpus, spinning, stack, symptom

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.soft_lockup import soft_lockup
from oopsight.evidence.hangs.ring_makers import Ring, RingMakers
from oopsight.evidence.pointers import BytesPointer, ModulePointer
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
    found = soft_lockup(STUCK, machine, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["find", "write"]
    assert found.certainty is Certainty.INFERRED
    assert all(step.because for step in found.chain)


def test_one_that_spins_or_does_not_loop_is_only_possible() -> None:
    for changes, calls in (({"spins_on": spinning(LOCK_A)}, (DRIVER,)), ({}, (CALLER,))):
        found = soft_lockup(
            STUCK, cpus(cpu(1, stack(9, *calls, state="R"), **changes)), ABSENT, ABSENT
        )
        assert isinstance(found, Finding)
        assert found.certainty is Certainty.POSSIBLE


def test_who_can_have_closed_the_ring_comes_before_who_goes_along_it() -> None:
    walker = call(5, "find", in_loop=True, follows_pointers=True)
    machine = cpus(cpu(1, stack(9, walker, state="R")))
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    link = BytesPointer(LOCK_A, "00" * 8)
    ring = Ring(machine.cpus[0].task, "find", module, 3, (link,), ("promote",))
    found = soft_lockup(STUCK, machine, RingMakers((ring,)), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["promote", "find"]
    assert found.certainty is Certainty.POSSIBLE
    assert link in found.chain[-1].because
    assert "runs in a ring of 3: in drv, promote()" in found.chain[-1].claim
    moved = RingMakers((replace(ring, splicers=("flush",)),))
    found = soft_lockup(STUCK, machine, moved, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["flush", "promote", "find"]
    many = RingMakers((replace(ring, makers=("a", "b", "c", "d")),))
    found = soft_lockup(STUCK, machine, many, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["find"]


def test_another_that_loops_where_the_one_that_was_reported_does_not() -> None:
    timers = call(3, "tmigr_handle_remote", None)
    looping = cpu(0, stack(1, DRIVER, CALLER, state="R"), panicking=True)
    found = soft_lockup(STUCK, cpus(looping, cpu(1, stack(9, timers))), ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["find", "write"]
    assert found.certainty is Certainty.POSSIBLE
    assert "CPU 0 ran" in found.chain[0].claim
    assert "the one that was reported is in no loop" in found.chain[0].claim
    # The one that was reported is in a module's code itself.
    found = soft_lockup(STUCK, cpus(looping, cpu(1, stack(9, CALLER))), ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["write"]


def test_clear_and_undecided() -> None:
    assert isinstance(soft_lockup(symptom(Kind.OOM), ABSENT, ABSENT, ABSENT), Clear)
    assert isinstance(soft_lockup(STUCK, ABSENT, ABSENT, ABSENT), Undecided)
    assert isinstance(soft_lockup(STUCK, cpus(cpu(0, stack(1, DRIVER))), ABSENT, ABSENT), Undecided)
    assert isinstance(
        soft_lockup(STUCK, cpus(cpu(1, stack(1, PLUMBING))), ABSENT, ABSENT), Undecided
    )


def test_a_cpu_that_none_panicked_for() -> None:
    """The machine was stopped from outside, and its tasks tell which CPU did not come on."""
    silent = replace(symptom(Kind.SOFT_LOCKUP), cpu=1)
    machine = cpus(
        cpu(0, stack(1, call(3, "idle"))), cpu(1, stack(9, PLUMBING, DRIVER, CALLER, state="R"))
    )
    found = soft_lockup(silent, machine, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "find"

"""A grace period that a CPU keeps from ending."""

from __future__ import annotations

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, call, cpu, cpus, leak, leaks, memory, stack, symptom

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.rcu_stall import rcu_stall
from oopsight.evidence.hangs.grace_period import Debt, GracePeriod, Reader
from oopsight.evidence.hangs.ring_makers import Ring, RingMakers
from oopsight.evidence.hangs.stacks import HeldLock
from oopsight.evidence.pointers import BytesPointer, ModulePointer
from oopsight.kinds import Kind

STALL = symptom(Kind.RCU_STALL, "rcu: INFO: rcu_preempt self-detected stall on CPU")
READER = cpu(0, stack(1, call(3, "find", in_loop=True), state="R"))
BYSTANDER = cpu(1, stack(2, call(3, "count", in_loop=True), state="R"))
IDLE = cpu(2, stack(3, call(3, "halt", None)), idle=True)


def test_the_cpu_that_owes_a_quiescent_state_is_to_blame() -> None:
    grace = GracePeriod(in_progress=True, owing=(Debt(0, (memory(LOCK_A),)), Debt(2, ())))
    found = rcu_stall(STALL, cpus(BYSTANDER, READER, IDLE), grace, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "find"
    assert found.certainty is Certainty.INFERRED


def test_who_can_have_closed_the_ring_comes_first() -> None:
    walker = call(3, "find", in_loop=True, follows_pointers=True)
    machine = cpus(cpu(0, stack(1, walker, state="R")))
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    link = BytesPointer(LOCK_A, "00" * 8)
    ring = Ring(machine.cpus[0].task, "find", module, 3, (link,), ("promote",))
    grace = GracePeriod(in_progress=True, owing=(Debt(0, (memory(LOCK_A),)),))
    found = rcu_stall(STALL, machine, grace, ABSENT, RingMakers((ring,)), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["promote", "find"]
    assert found.certainty is Certainty.POSSIBLE
    assert link in found.chain[-1].because


def test_a_task_that_sleeps_within_a_read_section_is_to_blame() -> None:
    entered = HeldLock("rcu", None, None, "look_up+0x8", "__rcu_read_lock")
    asleep = stack(5, call(3, "resolve"), call(4, "look_up", holds=(entered,)), state="S")
    grace = GracePeriod(in_progress=True, owing=(), readers=(Reader(asleep, (memory(LOCK_A),)),))
    found = rcu_stall(STALL, cpus(IDLE), grace, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["look_up", "resolve"]
    assert found.certainty is Certainty.INFERRED
    assert all(step.because for step in found.chain)
    # Without the function that took the lock, or with another reader, it is not certain.
    bare = Reader(stack(6, call(3, "resolve"), state="S"), (memory(LOCK_A),))
    two = rcu_stall(
        STALL,
        cpus(IDLE),
        GracePeriod(in_progress=True, owing=(), readers=(bare,)),
        ABSENT,
        ABSENT,
        ABSENT,
    )
    assert isinstance(two, Finding)
    assert two.certainty is Certainty.POSSIBLE


def test_a_reader_whose_stack_entered_no_section_left_one_open() -> None:
    sleeping = stack(5, call(3, "do_nanosleep", module=None), state="S")
    reader = Reader(sleeping, (memory(LOCK_A),))
    grace = GracePeriod(in_progress=True, owing=(), readers=(reader,))
    one = leaks(leak("look_up", "rcu"))
    found = rcu_stall(STALL, cpus(IDLE), grace, one, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits] == [("drv", "look_up")]
    assert found.certainty is Certainty.INFERRED
    assert all(step.because for step in found.chain)
    two = rcu_stall(
        STALL, cpus(IDLE), grace, leaks(leak("look_up", "rcu"), leak("find", "rcu")), ABSENT, ABSENT
    )
    assert isinstance(two, Finding)
    assert two.certainty is Certainty.POSSIBLE
    # It may as well run in user space by now.
    runs = cpus(cpu(0, replace(sleeping, calls=(), state="R"), in_user=True))
    running = rcu_stall(STALL, runs, grace, one, ABSENT, ABSENT)
    assert isinstance(running, Finding)
    assert running.title == found.title
    # A module's function on the stack may be within a section of its caller's.
    inside = Reader(stack(5, call(3, "resolve"), state="S"), (memory(LOCK_A),))
    other = GracePeriod(in_progress=True, owing=(), readers=(inside,))
    kept = rcu_stall(STALL, cpus(IDLE), other, one, ABSENT, ABSENT)
    assert isinstance(kept, Finding)
    assert [c.function for c in kept.culprits] == ["resolve"]


def test_a_reader_that_runs_is_judged_by_its_cpu() -> None:
    runs = Reader(READER.stack, (memory(LOCK_A),))
    grace = GracePeriod(in_progress=True, owing=(Debt(0, (memory(LOCK_A),)),), readers=(runs,))
    found = rcu_stall(STALL, cpus(READER, IDLE), grace, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert "loops in find" in found.title


def test_without_rcus_tree_the_only_loop_is_taken_and_of_two_none() -> None:
    assert isinstance(rcu_stall(STALL, cpus(READER, IDLE), ABSENT, ABSENT, ABSENT, ABSENT), Finding)
    assert isinstance(
        rcu_stall(STALL, cpus(READER, BYSTANDER), ABSENT, ABSENT, ABSENT, ABSENT), Undecided
    )


def test_clear_and_undecided() -> None:
    assert isinstance(rcu_stall(symptom(Kind.OOM), ABSENT, ABSENT, ABSENT, ABSENT, ABSENT), Clear)
    assert isinstance(rcu_stall(STALL, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT), Undecided)
    assert isinstance(rcu_stall(STALL, cpus(IDLE), ABSENT, ABSENT, ABSENT, ABSENT), Undecided)

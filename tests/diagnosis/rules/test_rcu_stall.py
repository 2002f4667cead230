"""A grace period that a CPU keeps from ending."""

from __future__ import annotations

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, call, cpu, cpus, memory, stack, symptom

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.rcu_stall import rcu_stall
from oopsight.evidence.grace_period import Debt, GracePeriod
from oopsight.kinds import Kind

STALL = symptom(Kind.RCU_STALL, "rcu: INFO: rcu_preempt self-detected stall on CPU")
READER = cpu(0, stack(1, call(3, "find", in_loop=True), state="R"))
BYSTANDER = cpu(1, stack(2, call(3, "count", in_loop=True), state="R"))
IDLE = cpu(2, stack(3, call(3, "halt", None)), idle=True)


def test_the_cpu_that_owes_a_quiescent_state_is_to_blame() -> None:
    grace = GracePeriod(in_progress=True, owing=(Debt(0, (memory(LOCK_A),)), Debt(2, ())))
    found = rcu_stall(STALL, cpus(BYSTANDER, READER, IDLE), grace)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "find"
    assert found.certainty is Certainty.INFERRED


def test_without_rcus_tree_the_only_loop_is_taken_and_of_two_none() -> None:
    assert isinstance(rcu_stall(STALL, cpus(READER, IDLE), ABSENT), Finding)
    assert isinstance(rcu_stall(STALL, cpus(READER, BYSTANDER), ABSENT), Undecided)


def test_clear_and_undecided() -> None:
    assert isinstance(rcu_stall(symptom(Kind.OOM), ABSENT, ABSENT), Clear)
    assert isinstance(rcu_stall(STALL, ABSENT, ABSENT), Undecided)
    assert isinstance(rcu_stall(STALL, cpus(IDLE), ABSENT), Undecided)

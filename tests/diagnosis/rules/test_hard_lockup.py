"""A CPU with interrupts off, for which the others wait."""

from __future__ import annotations

from handmade_facts import ABSENT, log
from handmade_waits import LOCK_A, call, cpu, cpus, held, spinning, stack, symptom

from oopsight.diagnosis import Clear, Finding, Undecided
from oopsight.diagnosis.rules.hard_lockup import hard_lockup
from oopsight.kinds import Kind

SOFT = symptom(Kind.SOFT_LOCKUP, "watchdog: BUG: soft lockup - CPU#0 stuck for 10s! [kworker:9]")
WAITING = call(2, "smp_call_function_many_cond", None, plumbing="runs something on other CPUs")
VICTIM = cpu(0, stack(9, WAITING, call(3, "collect"), state="R"), panicking=True)
RING = call(3, "ring", in_loop=True, holds=(held(LOCK_A, "spinlock", "_raw_spin_lock_irqsave"),))
DEAF = cpu(1, stack(8, RING, call(4, "write"), state="R"), interrupts_on=False)


def test_the_cpu_that_does_not_answer_is_to_blame() -> None:
    found = hard_lockup(SOFT, cpus(VICTIM, DEAF), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["ring", "write"]
    assert "_raw_spin_lock_irqsave" in found.chain[1].claim
    assert "smp_call_function_many_cond" in found.chain[2].claim
    assert "soft_lockup" in found.refines


def test_without_a_loop_the_report_must_name_the_cpu() -> None:
    straight = cpu(1, stack(8, call(3, "ring"), state="R"), interrupts_on=False)
    stall = symptom(Kind.RCU_STALL)
    assert isinstance(hard_lockup(stall, cpus(VICTIM, straight), ABSENT), Clear)
    named = log("rcu: \t1-...0: (6 ticks this GP) idle=2ea4/1/0x4000000000000000")
    assert isinstance(hard_lockup(stall, cpus(VICTIM, straight), named), Finding)


def test_clear() -> None:
    idle = cpu(1, DEAF.stack, interrupts_on=False, idle=True)
    spinner = cpu(1, DEAF.stack, interrupts_on=False, spins_on=spinning(LOCK_A))
    listening = cpu(1, DEAF.stack)
    for other in (idle, spinner, listening):
        assert isinstance(hard_lockup(SOFT, cpus(VICTIM, other), ABSENT), Clear)
    assert isinstance(hard_lockup(symptom(Kind.OOM), ABSENT, ABSENT), Clear)
    assert isinstance(hard_lockup(SOFT, ABSENT, ABSENT), Undecided)

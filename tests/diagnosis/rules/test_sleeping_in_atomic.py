"""Who disabled preemption before a sleep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handmade_facts import ABSENT, fault
from handmade_waits import LOCK_A, call, cpu, cpus, held, leak, leaks, stack, symptom

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.sleeping_in_atomic import sleeping_in_atomic as rule
from oopsight.evidence import Missing
from oopsight.evidence.crash.forbidden_sleep import INTERRUPT, RCU, ForbiddenSleep
from oopsight.evidence.hangs.cpus import Cpus
from oopsight.evidence.hangs.stacks import Call
from oopsight.evidence.modules.dependencies import Dependencies
from oopsight.kinds import Kind

SLEPT = symptom(Kind.SLEEPING_IN_ATOMIC, "BUG: scheduling while atomic: collector/9/0x00000002")
SCHEDULE = call(2, "schedule", None, plumbing="sleeps")
DROP = call(3, "drop")
CLEAR = call(4, "clear", holds=(held(LOCK_A, "spinlock", "_raw_spin_lock"),))


def sleeping_in_atomic(
    *facts: Any, needs: Dependencies | Missing = ABSENT
) -> Finding | Clear | Undecided:
    return rule(*facts, needs)


def machine(*calls: Call) -> Cpus:
    return cpus(cpu(0, stack(9, *calls, state="R"), panicking=True))


def test_the_function_that_holds_the_lock_is_to_blame() -> None:
    found = sleeping_in_atomic(SLEPT, machine(SCHEDULE, DROP, CLEAR), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["clear", "drop"]
    # The helper may be called so, and should not sleep.
    assert found.certainty is Certainty.POSSIBLE
    assert found.cause_certainty is Certainty.INFERRED
    alone = sleeping_in_atomic(SLEPT, machine(SCHEDULE, CLEAR), leaks(), ABSENT)
    assert isinstance(alone, Finding)
    assert alone.certainty is Certainty.INFERRED
    assert all(step.because for step in found.chain)


def test_what_another_module_offers_may_sleep() -> None:
    holder = replace(CLEAR, calls_by_name=True)
    bus = call(3, "bus_transfer", "bus")
    found = sleeping_in_atomic(SLEPT, machine(SCHEDULE, bus, holder), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["clear"]
    assert [i.module for i in found.innocent] == ["bus"]
    assert found.certainty is Certainty.POSSIBLE


def test_what_another_module_was_called_for_through_a_pointer_may_be_told_not_to_sleep() -> None:
    holder = replace(CLEAR, calls_by_name=False)
    driver = call(3, "driver_poll", "driver")
    found = sleeping_in_atomic(SLEPT, machine(SCHEDULE, driver, holder), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["clear", "driver_poll"]
    assert found.innocent == ()
    # One that needs the holder's module has given it the pointer.
    stuck = machine(SCHEDULE, driver, holder)
    needs = Dependencies((("driver", "drv"),))
    found = sleeping_in_atomic(SLEPT, stuck, leaks(), ABSENT, needs=needs)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["driver_poll", "clear"]


def test_what_is_called_in_a_chain_of_atomic_notifiers_must_not_sleep() -> None:
    holder = call(6, "update", "rails", calls_by_name=True, holds=CLEAR.holds)
    chain = call(5, "atomic_notifier_call_chain", None, plumbing="serves", calls_by_name=True)
    each = call(4, "notifier_call_chain", None, plumbing="serves", calls_by_name=False)
    told = call(3, "event", "amp", calls_by_name=True)
    found = sleeping_in_atomic(SLEPT, machine(SCHEDULE, told, each, chain, holder), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["event", "update"]
    assert found.certainty is Certainty.POSSIBLE
    assert found.innocent == ()
    # Further out, it has nothing to do with who sleeps under the lock.
    outside = replace(chain, index=8)
    found = sleeping_in_atomic(SLEPT, machine(SCHEDULE, told, holder, outside), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "update"


def test_in_an_interrupt_what_the_kernel_around_it_holds_is_not_to_blame() -> None:
    timer = call(5, "call_timer_fn", None, plumbing="runs timers")
    around = call(6, "expire_remote", None, holds=(held(LOCK_A, "spinlock", "_raw_spin_lock_irq"),))
    interrupted = call(8, "other", holds=(held(LOCK_A, "spinlock", "_raw_spin_lock"),))
    found = sleeping_in_atomic(
        SLEPT, machine(SCHEDULE, DROP, timer, around, interrupted), leaks(), ABSENT
    )
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "drop"
    assert "interrupt" in found.title


def test_a_callback_under_a_lock_of_the_kernels_own_is_only_possible() -> None:
    around = call(6, "for_each", None, holds=(held(LOCK_A, "spinlock", "_raw_spin_lock"),))
    found = sleeping_in_atomic(SLEPT, machine(SCHEDULE, DROP, around), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    assert [c.function for c in found.culprits] == ["drop", "for_each"]


def test_what_the_kernel_calls_in_an_interrupt_comes_before_its_helper() -> None:
    timer = call(7, "call_timer_fn", None, plumbing="runs timers")
    tick = call(6, "tick", "beat", calls_by_name=True)
    trigger = call(5, "led_trigger_event", None, plumbing="serves any caller")
    lamp, transfer = call(4, "lamp_set", calls_by_name=True), call(3, "transfer")
    stack = machine(SCHEDULE, transfer, lamp, trigger, tick, timer)
    found = sleeping_in_atomic(SLEPT, stack, leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["lamp_set", "transfer"]
    assert found.certainty is Certainty.POSSIBLE
    assert found.cause_certainty is Certainty.INFERRED


def test_who_called_another_module_by_name_in_an_interrupt_comes_before_it() -> None:
    timer = call(5, "call_timer_fn", None, plumbing="runs timers")
    tick = call(4, "tick", "beat", calls_by_name=True)
    bus = call(3, "bus_transfer", "bus")
    found = sleeping_in_atomic(SLEPT, machine(SCHEDULE, bus, tick, timer), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["tick"]
    assert [i.module for i in found.innocent] == ["bus"]


def test_a_module_that_an_interrupt_stopped_is_not_to_blame() -> None:
    entry = call(5, "asm_sysvec_apic_timer_interrupt", None, plumbing="enters the kernel")
    stack = machine(SCHEDULE, entry, call(6, "other"))
    assert isinstance(sleeping_in_atomic(SLEPT, stack, leaks(), ABSENT), Undecided)


def test_a_mutex_may_be_held_over_a_sleep() -> None:
    mutex = call(4, "clear", holds=(held(LOCK_A),))
    found = sleeping_in_atomic(SLEPT, machine(SCHEDULE, DROP, mutex), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_in_an_interrupt() -> None:
    entry = call(5, "asm_sysvec_apic_timer_interrupt", None, plumbing="enters the kernel")
    found = sleeping_in_atomic(SLEPT, machine(SCHEDULE, DROP, entry), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert "interrupt" in found.title
    assert found.culprits[0].function == "drop"


def test_a_lock_kept_by_who_has_returned() -> None:
    one = sleeping_in_atomic(SLEPT, machine(SCHEDULE), leaks(leak("grant", "spinlock")), ABSENT)
    assert isinstance(one, Finding)
    assert one.certainty is Certainty.INFERRED
    assert [c.function for c in one.culprits] == ["grant"]
    off = leak("select", "bottom halves")
    spun = sleeping_in_atomic(SLEPT, machine(SCHEDULE), leaks(off), ABSENT)
    assert isinstance(spun, Undecided)  # the count is of preemption alone
    report = symptom(Kind.SLEEPING_IN_ATOMIC, "BUG: scheduling while atomic: radiod/9/0x00000201")
    both = leaks(leak("grant", "spinlock"), off)
    halves = sleeping_in_atomic(report, machine(SCHEDULE), both, ABSENT)
    assert isinstance(halves, Finding)
    assert [c.function for c in halves.culprits] == ["select", "grant"]
    assert "switches bottom halves off" in halves.chain[-2].claim
    more = leaks(leak("grant", "spinlock"), leak("take", "spinlock"), leak("keep", "mutex"))
    two = sleeping_in_atomic(SLEPT, machine(SCHEDULE), more, ABSENT)
    assert isinstance(two, Finding)
    assert two.certainty is Certainty.POSSIBLE
    assert len(two.culprits) == 2


def test_clear_and_undecided() -> None:
    assert isinstance(sleeping_in_atomic(symptom(Kind.BUG), ABSENT, ABSENT, ABSENT), Clear)
    assert isinstance(sleeping_in_atomic(SLEPT, ABSENT, ABSENT, ABSENT), Undecided)
    assert isinstance(sleeping_in_atomic(SLEPT, machine(SCHEDULE), ABSENT, ABSENT), Undecided)
    assert isinstance(sleeping_in_atomic(SLEPT, machine(), leaks(), ABSENT), Undecided)


WARNED = symptom(Kind.WARNING, "WARNING: CPU: 0 PID: 9 at kernel/rcu/tree_plugin.h:320")


def check(within: str) -> ForbiddenSleep:
    return ForbiddenSleep("rcu_note_context_switch", within, fault().frame)


def test_who_sleeps_within_a_read_section_of_rcu() -> None:
    reader = call(4, "match", holds=(held(0, "rcu", "__rcu_read_lock"),))
    locker = call(5, "command", holds=(held(LOCK_A, "spinlock", "_raw_spin_lock"),))
    calls = (SCHEDULE, DROP, reader, locker)
    found = sleeping_in_atomic(WARNED, machine(*calls), leaks(), check(RCU))
    assert isinstance(found, Finding)
    assert found.cause_certainty is Certainty.INFERRED
    assert [c.function for c in found.culprits] == ["match", "drop"]
    assert "warning" in found.refines
    assert isinstance(sleeping_in_atomic(WARNED, machine(*calls), leaks(), ABSENT), Clear)


def test_a_read_section_that_was_left_open() -> None:
    kept = leaks(leak("grant", "spinlock"), leak("find", "rcu"))
    found = sleeping_in_atomic(WARNED, machine(SCHEDULE, DROP), kept, check(RCU))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["find"]
    assert "RCU's read lock" in found.title


def test_only_a_lock_that_switches_bottom_halves_off_counts_as_an_interrupt() -> None:
    outer = call(6, "command", holds=(held(LOCK_A, "spinlock", "_raw_spin_lock_bh"),))
    found = sleeping_in_atomic(WARNED, machine(SCHEDULE, CLEAR, outer), leaks(), check(INTERRUPT))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["command", "clear"]

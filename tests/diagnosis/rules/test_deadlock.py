"""Tasks that wait in a circle."""

from __future__ import annotations

from dataclasses import replace

from handmade_facts import ABSENT
from handmade_waits import (
    LOCK_A,
    LOCK_B,
    call,
    cpu,
    cpus,
    held,
    leak,
    leaks,
    lock,
    memory,
    stack,
    waits,
)

from oopsight.diagnosis import Certainty, Clear, Depth, Finding
from oopsight.diagnosis.rules.deadlock import deadlock as rule
from oopsight.evidence import Missing
from oopsight.evidence.hangs.cpus import Cpus
from oopsight.evidence.hangs.lock_leaks import LockLeaks
from oopsight.evidence.hangs.loop_state import LoopState, LoopStates
from oopsight.evidence.hangs.waiting import Wait, Waits, WorkItem
from oopsight.evidence.modules.dependencies import Dependencies
from oopsight.evidence.pointers import BytesPointer, ModulePointer

ONE = Wait(stack(1, call(3, "f", holds=(held(LOCK_B),))), lock(LOCK_A, 2), 9.0)
TWO = Wait(stack(2, call(3, "g", holds=(held(LOCK_A),))), lock(LOCK_B, 1), 8.0)
VICTIM = Wait(stack(3, call(3, "h")), lock(LOCK_A, 2), 7.0)


def deadlock(
    waiting: Waits,
    found: LockLeaks | Missing,
    needs: Dependencies | Missing,
    machine: Cpus | Missing = ABSENT,
    states: LoopStates | Missing = ABSENT,
) -> Finding | Clear:
    return rule(waiting, found, needs, machine, states)


def test_two_orders_of_two_locks() -> None:
    found = deadlock(waits(VICTIM, ONE, TWO), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.SHOWN
    assert found.depth is Depth.ROOT_CAUSE
    assert {c.function for c in found.culprits} == {"f", "g"}
    assert "hung_task" in found.refines
    assert "worker3 (pid 3)" in found.chain[-1].claim
    assert all(step.because for step in found.chain)


def test_of_two_modules_the_one_that_uses_the_other_comes_first() -> None:
    lists = Wait(stack(1, call(3, "walk", "lists", holds=(held(LOCK_B),))), lock(LOCK_A, 2), 9.0)
    user = Wait(stack(2, call(3, "commit", "user", holds=(held(LOCK_A),))), lock(LOCK_B, 1), 8.0)
    needs = Dependencies((("user", "lists"),))
    other = Dependencies((("lists", "user"),))
    for known, names in ((needs, ["commit", "walk"]), (other, ["walk", "commit"])):
        found = deadlock(waits(lists, user), leaks(), known)
        assert isinstance(found, Finding)
        assert [one.function for one in found.culprits] == names
        assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.SHOWN)
    found = deadlock(waits(lists, user), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_of_the_kernel_alone_it_is_as_sure_as_of_one_module() -> None:
    one = Wait(stack(1, call(3, "f", None, holds=(held(LOCK_B),))), lock(LOCK_A, 2), 9.0)
    two = Wait(stack(2, call(3, "g", None, holds=(held(LOCK_A),))), lock(LOCK_B, 1), 8.0)
    found = deadlock(waits(one, two), leaks(), Dependencies(()))
    assert isinstance(found, Finding)
    assert (found.certainty, found.cause_certainty) == (Certainty.SHOWN, None)


def test_a_spinlock_taken_twice_is_inferred_from_code() -> None:
    spin = lock(LOCK_A, 1, kind="spinlock", known_by="code")
    inner, outer = call(3, "remove"), call(4, "flush", holds=(held(LOCK_A, "spinlock"),))
    found = deadlock(waits(Wait(stack(1, inner, outer, state="R"), spin, None)), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert [c.function for c in found.culprits] == ["flush", "remove"]


def test_a_circle_through_a_readers_hint_is_only_possible() -> None:
    reader = Wait(stack(2, call(3, "g")), lock(LOCK_B, 1), 8.0)
    one = Wait(ONE.stack, lock(LOCK_A, 2, kind="rwsem", known_by="last reader"), 9.0)
    found = deadlock(waits(one, reader), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_no_circle() -> None:
    holder = Wait(stack(2, call(3, "g"), state="S"), None, None, victim=False)
    assert isinstance(deadlock(waits(VICTIM, holder), leaks(), ABSENT), Clear)


def test_a_completion_that_a_blocked_work_item_goes_on_to_signal_closes_a_circle() -> None:
    starter = Wait(
        stack(1, call(3, "start", holds=(held(LOCK_A),))),
        lock(LOCK_B, 2, kind="completion", known_by="signals"),
        9.0,
    )
    worker = Wait(stack(2, call(3, "boot")), lock(LOCK_A, 1), 9.0)
    found = deadlock(waits(starter, worker), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert "which is to come from worker2" in found.summary
    assert {c.function for c in found.culprits} == {"start", "boot"}


def test_an_event_in_the_circle_makes_it_only_possible_and_events_alone_make_none() -> None:
    waiting = Wait(ONE.stack, lock(LOCK_A, 2, kind="event", known_by="signals"), 9.0)
    found = deadlock(waits(waiting, TWO), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    both = Wait(TWO.stack, lock(LOCK_B, 1, kind="event", known_by="signals"), 9.0)
    assert isinstance(deadlock(waits(waiting, both), leaks(), ABSENT), Clear)


def test_a_work_item_that_has_left_the_stack_is_named_by_its_worker() -> None:
    item = WorkItem("pack", "drv", (memory(LOCK_B),))
    own = Wait(
        stack(1, call(3, "flush_workqueue", None, plumbing="workqueue")),
        lock(LOCK_A, 1, kind="work", known_by="worker"),
        9.0,
        work=item,
    )
    found = deadlock(waits(own), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits] == [("drv", "pack")]
    assert "which it holds up itself" in found.title
    assert memory(LOCK_B) in found.chain[0].because


def test_a_task_that_waits_for_what_was_left_locked_before_makes_no_circle() -> None:
    own = Wait(stack(1, call(3, "write")), lock(LOCK_A, 1), 9.0)
    found = deadlock(waits(own), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert isinstance(deadlock(waits(own), leaks(leak("stop")), ABSENT), Clear)
    omitted = replace(leak("abort"), taken_by="begin", acts=True)
    assert isinstance(deadlock(waits(own), replace(leaks(), omissions=(omitted,)), ABSENT), Clear)
    # A second begin before the end of the first is one, if nothing shows that there was an end.
    guard = replace(leaks(), omissions=(replace(omitted, acts=False),))
    assert isinstance(deadlock(waits(own), guard, ABSENT), Finding)
    # What its own code holds it has not been left with.
    outer = call(4, "flush", holds=(held(LOCK_A),))
    twice = Wait(stack(1, call(3, "write"), outer), lock(LOCK_A, 1), 9.0)
    assert isinstance(deadlock(waits(twice), leaks(leak("stop")), ABSENT), Finding)


def test_who_is_called_with_the_lock_held_comes_before_who_waits_for_it() -> None:
    mine = lock(LOCK_A, 1, kind="rwsem", known_by="last reader")
    chain = call(5, "blocking_notifier_call_chain", None, holds=(held(LOCK_A, "rwsem"),))
    calls = (call(3, "hub_unregister", "hub"), call(4, "drv_event"), chain, call(6, "hub_write"))
    found = deadlock(waits(Wait(stack(1, *calls), mine, 9.0)), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [c.module for c in found.culprits] == ["drv", None]
    assert found.culprits[0].function == "drv_event"


def test_a_module_that_is_called_back_with_anothers_lock_held_is_only_possible() -> None:
    mine = lock(LOCK_A, 1, kind="spinlock", known_by="code")
    took = replace(call(6, "hub_thread", "hub"), holds=(held(LOCK_A, "spinlock"),))
    signal = call(5, "dma_fence_signal_locked", None)
    calls = (call(3, "hub_load", "hub"), call(4, "drv_done", "drv"), signal, took)
    found = deadlock(waits(Wait(stack(1, *calls), mine, 9.0)), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits][:2] == [
        ("drv", "drv_done"), ("hub", "hub_thread"),
    ]  # fmt: skip
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)


def test_a_loop_in_an_interrupt_of_who_is_to_change_what_it_waits_for() -> None:
    loop = call(3, "read_level", in_loop=True)
    delay = replace(call(5, "delay_tsc", None), interrupted=True)
    writer = call(6, "set_scale")
    spinning = cpu(1, stack(9, loop, call(4, "show"), delay, writer, state="R"))
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    state = LoopState(
        spinning.task,
        "read_level",
        module,
        by_itself=False,
        stands_still=True,
        fields=(BytesPointer(LOCK_A, "01000000"),),
        names=("level",),
        replaces=(),
        advances=("set_offset", "set_scale"),
    )
    found = deadlock(waits(), leaks(), ABSENT, cpus(spinning), LoopStates((state,)))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["set_scale", "read_level"]
    assert found.certainty is Certainty.POSSIBLE
    assert "soft_lockup" in found.refines
    # One that was not interrupted has called it; another that was changes nothing of that.
    plain = cpu(1, stack(9, loop, call(5, "delay_tsc", None), writer, state="R"))
    assert isinstance(deadlock(waits(), leaks(), ABSENT, cpus(plain), LoopStates((state,))), Clear)
    other = cpu(1, stack(9, loop, delay, call(6, "write"), state="R"))
    assert isinstance(deadlock(waits(), leaks(), ABSENT, cpus(other), LoopStates((state,))), Clear)
    moving = replace(state, stands_still=False)
    found = deadlock(waits(), leaks(), ABSENT, cpus(spinning), LoopStates((moving,)))
    assert isinstance(found, Clear)


def test_who_waits_for_a_work_item_comes_before_what_that_waits_in() -> None:
    work = Wait(stack(1, call(3, "update")), lock(LOCK_A, 2), 7.0)
    flush = lock(LOCK_B, 1, kind="work", known_by="worker")
    taker = call(5, "ioctl", None, holds=(held(LOCK_A),))
    event = Wait(stack(2, call(3, "settle"), call(4, "event"), taker), flush, 6.0)
    found = deadlock(waits(work, event), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits][:2] == ["settle", "update"]
    # Another module's function need not know of what it calls.
    other = replace(event, stack=stack(2, call(3, "release", "user"), taker))
    found = deadlock(waits(work, other), leaks(), ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits][:2] == ["update", "release"]

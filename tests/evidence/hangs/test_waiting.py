"""The graph of who waits for whom."""

from __future__ import annotations

from dataclasses import replace

from handmade_waits import LOCK_A, LOCK_B, call, held, lock, stack, symptom, waits

from oopsight.evidence.hangs.stacks import HeldLock
from oopsight.evidence.hangs.waiting import Wait, hung, kinds
from oopsight.evidence.hangs.waiting.collector import waits_for
from oopsight.kinds import Kind

ONE = Wait(stack(1, call(3, "f", holds=(held(LOCK_B),))), lock(LOCK_A, 2), 9.0)
TWO = Wait(stack(2, call(3, "g", holds=(held(LOCK_A),))), lock(LOCK_B, 1), 8.0)
THREE = Wait(stack(3, call(3, "h")), lock(LOCK_A, 2), 7.0)


def test_a_circle_is_found_once_whoever_leads_into_it() -> None:
    graph = waits(ONE, TWO, THREE)
    (circle,) = graph.cycles()
    assert {w.task.pid for w in circle} == {1, 2}
    assert graph.piles() == []


def test_one_that_waits_for_itself_is_a_circle() -> None:
    own = Wait(stack(1, call(3, "f", holds=(held(LOCK_A),))), lock(LOCK_A, 1), 9.0)
    assert waits(own).cycles() == [(own,)]


def test_the_root_of_a_pile_is_the_last_lock_of_the_chain() -> None:
    holder = Wait(stack(1, call(3, "f"), state="S"), None, 9.0, victim=False)
    middle = Wait(stack(2, call(3, "g")), lock(LOCK_A, 1), 8.0)
    last = Wait(stack(3, call(3, "h")), lock(LOCK_B, 2), 7.0)
    graph = waits(holder, middle, last)
    assert graph.cycles() == []
    ((root, victims),) = graph.piles()
    assert root.address == LOCK_A
    assert [w.task.pid for w in victims] == [2, 3]
    assert graph.victims == (middle, last)


def test_the_function_that_took_a_lock_is_found_on_the_holders_stack() -> None:
    inner, outer = call(3, "inner"), call(4, "outer", holds=(held(LOCK_A),))
    wait = Wait(stack(1, inner, outer), None, None)
    assert wait.holding(lock(LOCK_A)) == outer
    assert wait.holding(lock(LOCK_B)) is None
    assert wait.call == inner


def test_a_modules_function_is_suspected_before_the_kernels() -> None:
    kernel = call(2, "generic_thing", module=None)
    plumbing = call(1, "mutex_lock", module=None, plumbing="locks")
    driver = call(3, "drv_write")
    assert stack(1, plumbing, kernel, driver).culprit == driver
    assert stack(1, plumbing, kernel).culprit == kernel
    assert stack(1, plumbing).culprit is None


def test_every_kind_of_waiting_says_where_it_is_found() -> None:
    found = list(kinds())
    assert len(found) >= 6
    assert all(kind.FUNCTIONS and callable(kind.find) and kind.__doc__ for kind in found)


def test_a_sysrq_on_a_machine_where_tasks_hang_is_because_of_them() -> None:
    sysrq = replace(symptom(Kind.PANIC_OTHER), title="Kernel panic: sysrq triggered crash")
    old = replace(ONE, seconds=14.0)
    assert hung(sysrq, waits(old, TWO))
    assert not hung(sysrq, waits(ONE, TWO))
    assert not hung(symptom(Kind.PANIC_OTHER), waits(old))
    assert hung(symptom(Kind.HUNG_TASK), waits())


def test_of_several_readers_the_one_that_is_blocked_closes_the_circle() -> None:
    reads = Wait(stack(4, call(3, "f"), state="S"), None, 9.0, victim=False)
    writer = Wait(stack(1, call(3, "g")), lock(LOCK_A, 4, 2, kind="rwsem", known_by="code"), 9.0)
    reader = Wait(stack(2, call(3, "h")), lock(LOCK_B, 1), 9.0)
    (circle,) = waits(reads, writer, reader).cycles()
    assert {w.task.pid for w in circle} == {1, 2}


def test_where_a_lock_lies_is_told_by_the_code_that_wants_it_and_by_the_slab() -> None:
    wants = HeldLock("mutex", LOCK_A, None, "f+0x8", "mutex_lock", 0x48)
    elsewhere = replace(wants, address=LOCK_B, offset=0x50)
    one = stack(1, call(2, "f", wants=wants), call(3, "g", wants=elsewhere))
    assert Wait(one, lock(LOCK_A), 1.0).places == {0x48}
    assert Wait(one, replace(lock(LOCK_A), within=0x10), 1.0).places == {0x48, 0x10}
    assert Wait(one, replace(lock(LOCK_A), within=0), 1.0).places == {0x48}
    assert Wait(one, None, 1.0).places == frozenset()


def test_a_task_may_hold_what_its_code_took_or_took_it_is_not_known_where() -> None:
    wanted = lock(LOCK_A, kind="rwsem")
    somewhere = HeldLock("rwsem", None, None, "f+0x8", "down_read")
    for held_, may in ((held(LOCK_A, "rwsem"), True), (held(LOCK_B, "rwsem"), False)):
        assert Wait(stack(1, call(2, "f", holds=(held_,))), wanted, 1.0).may_hold(wanted) is may
    assert Wait(stack(1, call(2, "f", holds=(somewhere,))), wanted, 1.0).may_hold(wanted)
    fault = stack(1, call(2, "f"), call(3, "handle_mm_fault", module=None))
    assert Wait(fault, wanted, 1.0).may_hold(wanted)


def test_of_those_that_may_signal_an_event_one_in_a_circle_is_told_from_the_others() -> None:
    waiter = Wait(stack(1, call(3, "sync")), lock(LOCK_A, 3, 2, kind="event"), 9.0)
    client = Wait(stack(2, call(3, "store")), lock(LOCK_B, 1), 8.0)
    idle = Wait(stack(3, call(3, "store")), None, 8.0)
    graph = waits(waiter, client, idle)
    assert waiter.lock is not None
    kept = [h.task.pid for h in waiter.lock.holders if waits_for(graph, h, waiter)]
    assert kept == [2]

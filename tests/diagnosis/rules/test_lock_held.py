"""A lock that is not given back, by somebody who is still there and by somebody who is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handmade_facts import ABSENT
from handmade_waits import (
    LOCK_A,
    LOCK_B,
    call,
    held,
    leak,
    leaks,
    lock,
    stack,
    symptom,
    task,
    waits,
)

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.lock_held import lock_held as rule
from oopsight.evidence import Address, Missing
from oopsight.evidence.hangs.left_claims import ClaimLeak, LeftClaim, LeftClaims
from oopsight.evidence.hangs.left_off import LeftOff, SwitchedOff, SwitchedOffs
from oopsight.evidence.hangs.lock_leaks import LockTaker
from oopsight.evidence.hangs.loop_state import LoopState
from oopsight.evidence.hangs.odd_sequence import OddSequence, OddSequences
from oopsight.evidence.hangs.stacks import HeldLock
from oopsight.evidence.hangs.unended import Unended
from oopsight.evidence.hangs.waiting import Holder, Lock, Wait
from oopsight.evidence.modules.footprints import Footprint
from oopsight.evidence.pointers import BytesPointer, ModulePointer
from oopsight.kernel.lock_functions import FROZEN
from oopsight.kinds import Kind


def lock_held(
    *facts: Any,
    off: SwitchedOffs | Missing = ABSENT,
    odd: OddSequences | Missing = ABSENT,
    claims: LeftClaims | Missing = ABSENT,
    unended: Unended | Missing = ABSENT,
) -> Finding | Clear | Undecided:
    return rule(*facts, off, odd, claims, unended)


HUNG = symptom(Kind.HUNG_TASK)
VICTIM = Wait(stack(3, call(3, "reset")), lock(LOCK_A, 1), 9.0)
HOLDER = Wait(
    stack(1, call(3, "query", holds=(held(LOCK_A),)), state="S"),
    Lock("io", None, "hub+0x20"),
    10.0,
    victim=False,
)


def test_a_sleeping_holder_is_to_blame_not_its_victim() -> None:
    found = lock_held(HUNG, waits(HOLDER, VICTIM), leaks())
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.SHOWN
    assert [c.function for c in found.culprits] == ["query"]
    assert "hub+0x20" in found.summary
    assert all(step.because for step in found.chain)


def test_a_last_reader_counts_only_if_its_code_confirms() -> None:
    victim = Wait(VICTIM.stack, lock(LOCK_A, 1, kind="rwsem", known_by="last reader"), 9.0)
    reading = call(3, "query", holds=(held(LOCK_A, "rwsem"),))
    reader = replace(HOLDER, stack=stack(1, reading, state="S"))
    confirmed = lock_held(HUNG, waits(reader, victim), leaks())
    assert isinstance(confirmed, Finding)
    assert confirmed.certainty is Certainty.INFERRED
    stale = replace(HOLDER, stack=stack(1, call(3, "elsewhere"), state="S"))
    assert isinstance(lock_held(HUNG, waits(stale, victim), leaks()), Undecided)
    leaking = leaks(leak("look_up", "rwsem"))
    left = lock_held(HUNG, waits(stale, victim), leaking)
    assert isinstance(left, Finding)
    assert [c.function for c in left.culprits] == ["look_up"]


def test_a_holder_that_has_exited_leaves_the_function_that_leaks() -> None:
    dead = Lock(
        "mutex", LOCK_A, "lock", None, (Holder(task(8), alive=False, known_by="owner"),), ()
    )
    victim = Wait(VICTIM.stack, replace(dead, because=VICTIM.lock.because), 9.0)  # type: ignore[union-attr]
    one = lock_held(HUNG, waits(victim), leaks(leak("give_back")))
    assert isinstance(one, Finding)
    assert one.certainty is Certainty.INFERRED
    assert [c.function for c in one.culprits] == ["give_back"]
    stop = lock_held(HUNG, waits(victim), leaks(replace(leak("stop"), taken_by="start")))
    assert isinstance(stop, Finding)
    assert [c.function for c in stop.culprits] == ["stop", "start"]
    two = lock_held(HUNG, waits(victim), leaks(leak("give_back"), leak("other")))
    assert isinstance(two, Finding)
    assert two.certainty is Certainty.POSSIBLE
    none = lock_held(HUNG, waits(victim), ABSENT)
    assert isinstance(none, Finding)
    assert none.certainty is Certainty.POSSIBLE
    assert [(c.module, c.function) for c in none.culprits] == [("drv", None)]


def test_a_task_that_got_the_memory_of_an_exited_holder_is_innocent() -> None:
    """The lock names it, but nothing of the module that uses the lock is on its stack."""
    sleeper = replace(HOLDER, stack=stack(1, call(3, "do_nanosleep", module=None), state="S"))
    found = lock_held(HUNG, waits(sleeper, VICTIM), leaks(leak("give_back")))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert [(c.module, c.function) for c in found.culprits] == [("drv", "give_back")]
    unexplained = lock_held(HUNG, waits(sleeper, VICTIM), leaks())
    assert isinstance(unexplained, Finding)
    assert unexplained.certainty is Certainty.POSSIBLE


def test_a_spinlock_that_nobody_holds_was_leaked() -> None:
    spin = Lock("spinlock", LOCK_A, "wear_lock")
    spinner = Wait(stack(1, call(3, "total"), state="R"), spin, None)
    soft = symptom(Kind.SOFT_LOCKUP)
    found = lock_held(soft, waits(spinner), leaks(leak("submit", "spinlock", LOCK_A)))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["submit"]
    other = leak("submit", "spinlock", LOCK_A + 64)
    assert isinstance(lock_held(soft, waits(spinner), leaks(other)), Clear)


def test_clear() -> None:
    assert isinstance(lock_held(symptom(Kind.NULL_DEREF), ABSENT, ABSENT), Clear)
    assert isinstance(lock_held(HUNG, waits(), leaks()), Clear)
    assert isinstance(lock_held(HUNG, ABSENT, leaks()), Undecided)


def test_a_reader_that_rcu_lists_holds_the_grace_period_up() -> None:
    entered = HeldLock("rcu", None, None, "look_up+0x8", "__rcu_read_lock")
    reader = Wait(stack(1, call(3, "look_up", holds=(entered,)), state="S"), None, 9.0, False)
    waiting = lock(LOCK_B, 1, kind="grace period", known_by="reader")
    found = lock_held(HUNG, waits(reader, Wait(VICTIM.stack, waiting, 9.0)), leaks())
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.SHOWN
    assert found.culprits[0].function == "look_up"
    assert "is held up by worker1" in found.title
    assert "RCU's read lock" in found.summary


def test_a_file_system_that_a_module_froze_and_did_not_thaw() -> None:
    frozen = lock(LOCK_A, kind=FROZEN)
    writer = Wait(stack(3, call(3, "mnt_want_write", None)), frozen, 9.0)
    found = lock_held(HUNG, waits(writer), leaks(leak("snap", FROZEN)))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["snap"]
    # A program can have frozen it.
    assert isinstance(lock_held(HUNG, waits(writer), leaks()), Clear)


def test_what_is_locked_by_code_alone_is_inferred() -> None:
    page = Wait(VICTIM.stack, lock(LOCK_B, 1, kind="page", known_by="code"), 9.0)
    found = lock_held(HUNG, waits(HOLDER, page), leaks())
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED


def test_behind_a_leaked_lock_only_those_that_wait_for_it_are_named() -> None:
    bit = Wait(stack(3, call(3, "begin")), replace(lock(LOCK_A, kind="bit"), bit=3), 9.0)
    second = Wait(stack(4, call(3, "begin")), replace(lock(LOCK_A, kind="bit"), bit=3), 8.0)
    other = Wait(stack(5, call(3, "read", None)), Lock("io", None, None), 7.0)
    found = lock_held(HUNG, waits(bit, second, other), leaks(leak("begin", "bit 3")))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert "worker4" in found.chain[-1].claim
    assert "worker5" not in found.chain[-1].claim


def test_a_lock_of_the_kernels_own_that_a_module_left_is_found_by_its_address() -> None:
    idle = Wait(stack(1, call(3, "do_poll", None), state="S"), None, 9.0, victim=False)
    ip = Wait(stack(3, call(3, "rtnetlink_rcv_msg", None)), lock(LOCK_A, 1), 9.0)
    found = lock_held(HUNG, waits(idle, ip), leaks(leak("add", address=LOCK_A), leak("other")))
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits] == [("drv", "add")]
    # Without one at that address, what other leaks there are say nothing, and poll() is innocent.
    left = lock_held(HUNG, waits(idle, ip), leaks(leak("other")))
    assert isinstance(left, Finding)
    assert left.certainty is Certainty.POSSIBLE
    assert not any(culprit.function for culprit in left.culprits)


def test_who_is_in_a_call_of_a_file_keeps_it_from_being_taken_away() -> None:
    user = Wait(stack(1, call(3, "tap_wait"), state="S"), None, 9.0, victim=False)
    entry = replace(
        lock(LOCK_B, 1, kind="users", known_by="user"), name="of the file tapdata in /proc"
    )
    found = lock_held(HUNG, waits(user, Wait(VICTIM.stack, entry, 9.0)), leaks())
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert found.title.startswith("users of the file tapdata in /proc are, among others, worker1")
    assert "with the file tapdata in /proc held" in found.summary


def wanting(offset: int, kind: str = "rwsem") -> HeldLock:
    """The lock that a call is about to take, at a distance from what its function was handed."""
    return HeldLock(kind, None, None, "taker+0x10", "down_read", offset)


def test_a_lock_in_an_object_of_the_kernels_is_known_by_where_in_it_the_lock_lies() -> None:
    """Kernel code waits; a module's function leaves a lock at that distance from an argument."""
    first = stack(3, call(3, "do_madvise", module=None, wants=wanting(0x70)))
    lost = replace(lock(LOCK_A, kind="rwsem"), detail="held by 1 reader")
    victim = Wait(first, lost, 9.0)
    reading = replace(leak("look_up", "rwsem"), offset=0x70, mode="read")
    found = lock_held(HUNG, waits(victim), leaks(reading))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert [(c.module, c.function) for c in found.culprits] == [("drv", "look_up")]
    for other in (replace(reading, offset=0x78), replace(reading, mode="write")):
        assert isinstance(lock_held(HUNG, waits(victim), leaks(other)), Clear)
    two = lock_held(HUNG, waits(victim), leaks(reading, replace(reading, function="other")))
    assert isinstance(two, Finding)
    assert two.certainty is Certainty.POSSIBLE
    # As the slab has it, and near the beginning, where many objects have a lock.
    near = Wait(stack(3, call(3, "walk", module=None)), replace(lost, within=0x10), 9.0)
    found = lock_held(HUNG, waits(near), leaks(replace(reading, offset=0x10)))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_a_modules_lock_elsewhere_in_its_object_is_only_possible() -> None:
    first = stack(3, call(3, "reset", wants=wanting(0x20, "semaphore")))
    victim = Wait(first, lock(LOCK_A, kind="semaphore"), 9.0)
    same = replace(leak("give_back", "semaphore"), offset=0x20)
    for one, certainty in (
        (same, Certainty.INFERRED),
        (replace(same, offset=0x48), Certainty.POSSIBLE),
    ):
        found = lock_held(HUNG, waits(victim), leaks(one))
        assert isinstance(found, Finding)
        assert found.certainty is certainty


def test_whoever_waits_for_a_grace_period_waits_for_who_left_a_read_section_open() -> None:
    reader = Wait(stack(1, call(3, "do_nanosleep", module=None), state="S"), None, 9.0, False)
    waiting = lock(LOCK_B, 1, kind="grace period", known_by="reader")
    found = lock_held(
        HUNG, waits(reader, Wait(VICTIM.stack, waiting, 9.0)), leaks(leak("f", "rcu"))
    )
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["f"]
    assert found.certainty is Certainty.INFERRED


def test_a_function_that_may_hand_the_lock_on_is_only_possible() -> None:
    victim = Wait(VICTIM.stack, lock(LOCK_A, kind="semaphore"), 9.0)
    getter = replace(leak("get", "semaphore"), given_by="put")
    found = lock_held(HUNG, waits(victim), leaks(getter))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    assert "it may hand it on, as put gives back" in found.chain[-1].claim


def test_who_should_have_given_back_what_another_took() -> None:
    """The owner is in user space: the function that took the lock was meant to return with it."""
    sleeper = replace(HOLDER, stack=stack(1, call(3, "hrtimer_nanosleep", module=None), state="S"))
    commit = replace(leak("commit"), taken_by="begin")
    abort = replace(leak("abort"), taken_by="begin", acts=True)
    found = lock_held(HUNG, waits(sleeper, VICTIM), replace(leaks(), omissions=(commit, abort)))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    assert [c.function for c in found.culprits] == ["abort", "commit", "begin"]
    # Nor does one alone prove it: the program may hold the lock for as long as it likes.
    alone = lock_held(HUNG, waits(sleeper, VICTIM), replace(leaks(), omissions=(abort,)))
    assert isinstance(alone, Finding)
    assert alone.certainty is Certainty.POSSIBLE
    handing = replace(leaks(replace(leak("begin"), given_by="commit")), omissions=(commit, abort))
    both = lock_held(HUNG, waits(sleeper, VICTIM), handing)
    assert isinstance(both, Finding)
    assert [c.function for c in both.culprits] == ["abort", "begin", "commit"]
    sure = replace(leaks(leak("reset")), omissions=(abort,))
    itself = lock_held(HUNG, waits(sleeper, VICTIM), sure)
    assert isinstance(itself, Finding)
    assert itself.certainty is Certainty.INFERRED
    assert [c.function for c in itself.culprits] == ["reset"]


def test_of_two_alike_who_is_known_to_have_run_comes_first() -> None:
    memory = BytesPointer(Address(0xFFFFC90000003F00), "00" * 8)
    ran = Footprint("abort", "free_all", "the stack of worker1 (101)", memory)
    one = replace(leak("commit"), taken_by="begin", acts=True)
    other = replace(leak("abort"), taken_by="begin", acts=True, ran=ran)
    sleeper = replace(HOLDER, stack=stack(1, call(3, "hrtimer_nanosleep", module=None), state="S"))
    found = lock_held(HUNG, waits(sleeper, VICTIM), replace(leaks(), omissions=(one, other)))
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "abort"
    assert any("return address of abort's call of free_all" in s.claim for s in found.chain)


def test_a_spinlock_that_stays_locked_where_another_is_unlocked_twice() -> None:
    soft = symptom(Kind.SOFT_LOCKUP)
    spinner = Wait(stack(1, call(2, "show")), Lock("spinlock", LOCK_A, "pool_lock"), None)
    twice = replace(leak("move", "spinlock"), again_at="move+0x28")
    found = lock_held(soft, waits(spinner), leaks(twice))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["move"]
    assert any(
        "releases another one, which it has not, at move+0x28" in s.claim for s in found.chain
    )


def test_a_spinlock_of_which_no_way_is_known_that_keeps_it() -> None:
    soft = symptom(Kind.SOFT_LOCKUP)
    wanted = replace(held(LOCK_A, "spinlock"), offset=0x40)
    spin = Lock("spinlock", LOCK_A, "pool_lock")
    spinner = Wait(stack(1, call(2, "show", wants=wanted)), spin, None)
    module = ModulePointer("drv", loaded=True, base=LOCK_A)

    def taker(function: str, offset: int | None, lock: Address | None = None) -> LockTaker:
        return LockTaker(module, function, "spinlock", lock, offset)

    many = (
        taker("show", 0x40),
        taker("either", None),
        taker("move", 0x40),
        taker("other", 0x48),
        taker("global", None, LOCK_B),
    )
    found = lock_held(soft, waits(spinner), replace(leaks(), takers=many))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["move", "either", "show"]
    assert found.certainty is Certainty.POSSIBLE
    assert "soft_lockup" in found.refines
    # Only the one that spins takes it.
    assert isinstance(lock_held(soft, waits(spinner), replace(leaks(), takers=many[:1])), Clear)


def test_a_spinlock_that_another_function_should_have_given_back() -> None:
    spin = Lock("spinlock", LOCK_A, "wear_lock")
    spinner = Wait(stack(1, call(3, "total"), state="R"), spin, None)
    omitted = replace(leak("finish", "spinlock"), taken_by="start", acts=True)
    soft = symptom(Kind.SOFT_LOCKUP)
    found = lock_held(soft, waits(spinner), replace(leaks(), omissions=(omitted,)))
    assert isinstance(found, Finding)
    assert (found.certainty, found.culprits[0].function) == (Certainty.POSSIBLE, "finish")
    # Of a semaphore that may be the way to signal an event.
    event = replace(omitted, kind="semaphore")
    down = Wait(VICTIM.stack, Lock("semaphore", LOCK_A, "done"), 9.0)
    clear = lock_held(HUNG, waits(down), replace(leaks(), omissions=(event,)))
    assert isinstance(clear, Clear)


def test_who_left_a_task_with_a_lock_that_it_now_waits_for() -> None:
    own = Wait(stack(1, call(3, "write")), lock(LOCK_A, 1), 9.0)
    behind = Wait(stack(2, call(3, "write")), lock(LOCK_A, 1), 8.0)
    found = lock_held(HUNG, waits(own, behind), leaks(leak("stop")))
    assert isinstance(found, Finding)
    assert (found.certainty, found.culprits[0].function) == (Certainty.INFERRED, "stop")
    assert "now waits for it itself" in found.title
    assert "worker2" in found.chain[-1].claim
    assert isinstance(lock_held(HUNG, waits(own, behind), leaks()), Clear)


def test_a_lock_that_the_kernel_took_for_the_modules_function_is_not_to_blame() -> None:
    """As the RTNL around ``ndo_stop``: what the function waits for there is."""
    taker = call(5, "devinet_ioctl", None, holds=(held(LOCK_A),))
    owner = Wait(stack(1, call(3, "drv_stop"), taker), Lock("event", None, "q"), 10.0)
    victim = Wait(stack(3, call(3, "addrconf_dad_work", None)), lock(LOCK_A, 1), 9.0)
    assert isinstance(lock_held(HUNG, waits(owner, victim), leaks()), Clear)
    # So it is where the code does not tell who has taken it, but nothing of the module waits.
    untold = replace(owner, stack=stack(1, call(3, "drv_remove"), call(5, "unbind", None)))
    assert isinstance(lock_held(HUNG, waits(untold, victim), leaks()), Clear)
    own = replace(victim, stack=stack(3, call(3, "drv_show")))
    assert isinstance(lock_held(HUNG, waits(untold, own), leaks()), Finding)


def test_who_hangs_as_something_is_off_does_so_for_that() -> None:
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    one = LeftOff("change", "change+0x4", "change+0x1b", back=True)
    off = SwitchedOff(HOLDER.task, "interrupt", "interrupt 9", module, (), (one,))
    found = lock_held(HUNG, waits(HOLDER, VICTIM), leaks(), off=SwitchedOffs((off,)))
    assert isinstance(found, Clear)


def test_who_returned_within_a_write_section_of_a_seqlock() -> None:
    module = ModulePointer("drv", loaded=True, base=None)
    number = BytesPointer(Address(LOCK_A - 4), "03000000")
    loop = LoopState(task(5), "now", module, False, True, (number,), (), (), ())
    odd = OddSequences((OddSequence(loop, number, BytesPointer(Address(LOCK_A), "01000000")),))
    soft = symptom(Kind.SOFT_LOCKUP)
    found = lock_held(soft, waits(), leaks(leak("slew", "spinlock", LOCK_A)), odd=odd)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["slew"]
    assert found.certainty is Certainty.INFERRED
    # By its argument: it may have been another.
    found = lock_held(soft, waits(), leaks(leak("slew", "spinlock")), odd=odd)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    other = leaks(leak("slew", "spinlock", LOCK_B))
    assert isinstance(lock_held(soft, waits(), other, odd=odd), Clear)


def test_who_left_a_sequence_count_odd() -> None:
    module = ModulePointer("drv", loaded=True, base=None)
    number = BytesPointer(Address(LOCK_A - 4), "03000000")
    loop = LoopState(task(5), "now", module, False, True, (number,), (), (), ())
    odd = OddSequences((OddSequence(loop, number, None, ("trim",)),))
    found = lock_held(symptom(Kind.SOFT_LOCKUP), waits(), leaks(), odd=odd)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["trim"]
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    nobody = OddSequences((OddSequence(loop, number, None),))
    assert isinstance(lock_held(symptom(Kind.SOFT_LOCKUP), waits(), leaks(), odd=nobody), Clear)


def test_who_left_a_bit_set_that_others_take_for_a_lock() -> None:
    waiting = Wait(stack(1, call(3, "claim")), Lock("event", LOCK_A, None), 9.0)
    one = LeftClaim(
        waiting.task,
        "claim",
        ModulePointer("drv", loaded=True, base=LOCK_A),
        "bit 0 of chip",
        BytesPointer(LOCK_A, "01"),
        (ClaimLeak("run", "run+0x16", "run+0x9"),),
    )
    found = lock_held(HUNG, waits(waiting), ABSENT, claims=LeftClaims((one,)))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["run"]
    assert isinstance(lock_held(HUNG, waits(waiting), ABSENT), Clear)


def test_a_holder_that_waits_for_what_others_bring_may_be_right_to() -> None:
    lock_ = lock(LOCK_A, 1)
    held = HeldLock("mutex", LOCK_A, None, "query+0x8", "mutex_lock")
    taker = replace(call(4, "query"), holds=(held,))
    owner = Wait(stack(1, call(3, "query"), taker), Lock("completion", LOCK_B, None), 9.0)
    victim = Wait(stack(2, call(3, "reset")), lock_, 9.0)
    found = lock_held(HUNG, waits(owner, victim), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    known = Unended((owner.task.address,))
    assert isinstance(lock_held(HUNG, waits(owner, victim), ABSENT, unended=known), Clear)


def test_a_holder_that_waits_for_what_is_not_known_may_be_right_to() -> None:
    held = HeldLock("mutex", LOCK_A, None, "query+0x8", "mutex_lock")
    taker = replace(call(4, "query"), holds=(held,))
    asleep = Wait(stack(1, call(2, "schedule", None), call(3, "query"), taker), None, 9.0)
    victim = Wait(stack(2, call(3, "reset")), lock(LOCK_A, 1), 9.0)
    found = lock_held(HUNG, waits(asleep, victim), ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE

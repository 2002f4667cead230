"""A task that hangs where no lock explains it."""

from __future__ import annotations

from typing import Any

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, LOCK_B, call, lock, memory, stack, symptom, waits

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.hung_task import hung_task
from oopsight.evidence import Missing
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.counted_wait import CountedWait, CountedWaits
from oopsight.evidence.hangs.kept_shares import KeptShare, KeptShares
from oopsight.evidence.hangs.left_off import LeftOff, SwitchedOff, SwitchedOffs
from oopsight.evidence.hangs.left_queued import LeftQueued, LeftQueues
from oopsight.evidence.hangs.left_states import LeftState, LeftStates
from oopsight.evidence.hangs.lost_completions import LostCompletion, LostCompletions
from oopsight.evidence.hangs.missed_wake import MissedWake, MissedWakes
from oopsight.evidence.hangs.omitted_signals import OmittedSignal, OmittedSignals
from oopsight.evidence.hangs.reference_leaks import ReferenceLeak, ReferenceLeaks
from oopsight.evidence.hangs.skipped_parts import SkippedPart, SkippedParts
from oopsight.evidence.hangs.unsignalled import Unsignalled, UnsignalledWaits
from oopsight.evidence.hangs.waiting import Lock, Wait, Waits
from oopsight.evidence.hangs.wakers import Waker, Wakers
from oopsight.evidence.pointers import BytesPointer, ModulePointer
from oopsight.kinds import Kind

LONGEST = Wait(stack(1, call(3, "other")), None, 90.0)
NAMED = Wait(stack(2, call(3, "wait_ready"), call(4, "reset")), lock(LOCK_A, kind="io"), 9.0)
HUNG = symptom(Kind.HUNG_TASK, "INFO: task worker2:2 blocked for more than 4 seconds.")


def judged(
    what: Symptom,
    waiting: Waits | Missing,
    *facts: Any,
    omitted: OmittedSignals | Missing = ABSENT,
    off: SwitchedOffs | Missing = ABSENT,
    parts: SkippedParts | Missing = ABSENT,
    shares: KeptShares | Missing = ABSENT,
    lost: LostCompletions | Missing = ABSENT,
    given: UnsignalledWaits | Missing = ABSENT,
    queues: LeftQueues | Missing = ABSENT,
    states: LeftStates | Missing = ABSENT,
) -> Finding | Clear | Undecided:
    return hung_task(
        what, waiting, *facts, omitted, off, parts, shares, lost, given, queues, states
    )


def test_the_task_that_was_reported_is_taken() -> None:
    found = judged(HUNG, waits(LONGEST, NAMED), ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["wait_ready", "reset"]
    assert found.certainty is Certainty.POSSIBLE  # nobody is known to hold it
    # Of a lock that remembers nobody it is not known who has it.
    reading = replace(NAMED, lock=lock(LOCK_A, kind="rwsem"))
    found = judged(HUNG, waits(LONGEST, reading), ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_without_a_name_the_longest_is_taken_and_only_possible() -> None:
    found = judged(symptom(Kind.HUNG_TASK), waits(LONGEST, NAMED), ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "other"
    assert found.certainty is Certainty.POSSIBLE


def test_who_calls_complete_in_the_module_is_told() -> None:
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="completion"), 9.0)
    one = Waker(module, "completion", "expired", "complete")
    found = judged(HUNG, waits(waiting), Wakers((one, one)), ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.chain[1].claim == "in drv, only expired() calls complete()"
    assert found.chain[1].because == (module,)
    many = tuple(Waker(module, "completion", f"f{n}", "complete") for n in range(4))
    found = judged(HUNG, waits(waiting), Wakers(many), ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert len(found.chain) == 1


def test_who_takes_the_count_down_comes_before_who_waits_for_it() -> None:
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="event"), 9.0)
    memory_ = BytesPointer(LOCK_B, "02000000")
    one = CountedWait(waiting.task, LOCK_B, "drv_port+0x50", 2, memory_, module, ("drv_work",))
    found = judged(HUNG, waits(waiting), ABSENT, CountedWaits((one,)), ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["drv_work", "wait_ready", "reset"]
    assert found.certainty is Certainty.POSSIBLE
    assert memory_ in found.chain[1].because
    dropped = CountedWaits((replace(one, drops=("drv_recall",)),))
    found = judged(HUNG, waits(waiting), ABSENT, dropped, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits[:2]] == ["drv_recall", "drv_work"]
    parked = CountedWaits((replace(one, parks=("drv_expire",)),))
    found = judged(HUNG, waits(waiting), ABSENT, parked, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits[:2]] == ["drv_expire", "drv_work"]
    many = CountedWaits((replace(one, lowers=("a", "b", "c", "d")),))
    found = judged(HUNG, waits(waiting), ABSENT, many, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "wait_ready"


def test_who_makes_the_condition_true_and_wakes_nobody_comes_first() -> None:
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="event"), 9.0)
    memory_ = BytesPointer(LOCK_B, "00000000")
    one = MissedWake(
        waiting.task, LOCK_B, "drv_users", 0, memory_, module, ("drv_cancel",), ("drv_done",)
    )
    found = judged(HUNG, waits(waiting), ABSENT, ABSENT, MissedWakes((one,)), ABSENT)
    assert isinstance(found, Finding)
    names = [c.function for c in found.culprits]
    assert names == ["drv_cancel", "drv_done", "wait_ready", "reset"]
    assert found.certainty is Certainty.POSSIBLE
    assert "drv_cancel() can make it so and wake nobody" in found.chain[1].claim
    assert memory_ in found.chain[1].because
    # All of them wake somebody.
    loud = MissedWakes((replace(one, silent=()),))
    found = judged(HUNG, waits(waiting), ABSENT, ABSENT, loud, ABSENT)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "drv_done"
    assert found.chain[1].claim.endswith("it was not woken")


def test_who_is_to_wake_what_sleeps_for_a_time_is_not_known() -> None:
    sleeper = Wait(NAMED.stack, Lock("time", None, None), 9.0)
    found = judged(HUNG, waits(sleeper), ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_who_can_keep_a_reference_comes_before_who_waits_for_the_last() -> None:
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="completion"), 9.0)
    leaks = ReferenceLeaks(
        (
            ReferenceLeak(module, "grow", "grow+0x8", "grow+0x38", -19),
            ReferenceLeak(module, "wait_ready", "wait_ready+0x8", "wait_ready+0x38", None),
        )
    )
    found = judged(HUNG, waits(waiting), ABSENT, ABSENT, ABSENT, leaks)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["grow", "wait_ready", "reset"]
    assert found.certainty is Certainty.POSSIBLE
    assert "grow+0x38 with error -19" in found.chain[1].claim
    # Of a lock that somebody holds, and of a queue that nobody woke, they tell nothing.
    held = Wait(NAMED.stack, lock(LOCK_A, 1, kind="completion"), 9.0)
    found = judged(HUNG, waits(held), ABSENT, ABSENT, ABSENT, leaks)
    assert isinstance(found, Finding)
    assert "grow" not in [c.function for c in found.culprits]


def test_a_frozen_file_system_is_nobodys_code() -> None:
    frozen = Lock("frozen file system", LOCK_A, "ext4 on loop0", because=(memory(LOCK_A),))
    found = judged(
        HUNG,
        waits(Wait(stack(2, call(3, "mnt_want_write", None)), frozen, 9.0)),
        *[ABSENT] * 4,
    )
    assert isinstance(found, Finding)
    assert found.culprits == ()
    assert "ext4 on loop0 is frozen" in found.title
    assert all(step.because for step in found.chain)


def test_who_waits_for_a_threads_end_hangs_behind_the_thread() -> None:
    thread = Wait(stack(1, call(3, "next")), Lock("event", LOCK_B, "queue"), 9.0)
    stopper = Wait(
        stack(2, call(3, "exit")), lock(LOCK_A, 1, kind="thread", known_by="worker"), 8.0
    )
    found = judged(HUNG, waits(thread, stopper), ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert found.culprits[0].function == "next"


def test_a_server_that_does_not_answer_is_no_module_of_ours() -> None:
    answer = Lock("answer", None, "of the NFS server")
    found = judged(
        HUNG,
        waits(Wait(stack(2, call(3, "nfs_lookup", "nfs")), answer, 9.0)),
        *[ABSENT] * 4,
    )
    assert isinstance(found, Finding)
    assert found.culprits == ()
    assert "answer of the NFS server" in found.summary


def test_clear_and_undecided() -> None:
    assert isinstance(judged(symptom(Kind.OOM), ABSENT, ABSENT, ABSENT, ABSENT, ABSENT), Clear)
    assert isinstance(judged(HUNG, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT), Undecided)
    assert isinstance(judged(HUNG, waits(), *[ABSENT] * 4), Undecided)


def test_behind_one_that_waits_for_a_server_no_module_is_blamed_either() -> None:
    reader = Wait(
        stack(1, call(3, "fuse_lookup", "fuse"), state="S"),
        Lock("answer", None, "of the FUSE server"),
        9.0,
        victim=False,
    )
    writer = Wait(stack(2, call(3, "mkdir", None)), lock(LOCK_A, 1, kind="rwsem"), 9.0)
    found = judged(HUNG, waits(reader, writer), ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.culprits == ()
    assert "no answer of the FUSE server" in found.advice[0]


def test_who_signals_on_some_ways_only_comes_before_who_waits() -> None:
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="completion"), 9.0)
    one = OmittedSignal(waiting.task, module, "drv_interrupt", "drv_interrupt+0x40")
    seen = replace(one, function="drv_done", seen=(BytesPointer(LOCK_B, "01000000"),))
    facts = (ABSENT, ABSENT, ABSENT, ABSENT)
    found = judged(HUNG, waits(waiting), *facts, omitted=OmittedSignals((seen, one)))
    assert isinstance(found, Finding)
    names = [c.function for c in found.culprits]
    assert names == ["drv_done", "drv_interrupt", "wait_ready", "reset"]
    assert found.certainty is Certainty.POSSIBLE
    assert seen.seen[0] in found.chain[1].because


def test_who_leaves_a_part_out_comes_before_who_signals_on_some_ways_only() -> None:
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    waiting = Wait(
        replace(NAMED.stack, calls=(call(3, "wait", module="drv"),)),
        lock(LOCK_A, kind="completion"),
        9.0,
    )
    one = OmittedSignal(waiting.task, module, "drv_interrupt", "drv_interrupt+0x40")
    part = SkippedPart(module, "drv_start", "drv_start+0x10", "drv_put")
    facts = {"omitted": OmittedSignals((one,)), "parts": SkippedParts((part,))}
    found = judged(HUNG, waits(waiting), *[ABSENT] * 4, **facts)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["drv_start", "drv_interrupt", "wait"]
    held = replace(waiting, lock=lock(LOCK_A, 1, kind="completion"))
    found = judged(HUNG, waits(held), *[ABSENT] * 4, **facts)
    assert isinstance(found, Finding)
    assert "drv_start" not in [c.function for c in found.culprits]


def test_who_left_off_what_is_waited_for_comes_first() -> None:
    """Also where the task that was reported waits behind the one that hangs by it."""
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    stuck = Lock("polling", LOCK_A, "of cm0", because=(memory(LOCK_A),))
    owner = Wait(stack(1, call(3, "stop")), stuck, 9.0)
    victim = Wait(NAMED.stack, lock(LOCK_B, 1), 9.0)
    one = LeftOff("change", "change+0x4", "change+0x1b", back=True)
    off = SwitchedOff(owner.task, "polling", "polling of cm0", module, (memory(LOCK_A),), (one,))
    absent = [ABSENT] * 4
    found = judged(HUNG, waits(owner, victim), *absent, off=SwitchedOffs((off,)))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits][:2] == ["change", "stop"]
    assert found.certainty is Certainty.INFERRED
    assert all(step.because for step in found.chain)
    two = replace(off, by=(one, replace(one, function="reset")))
    found = judged(HUNG, waits(owner, victim), *absent, off=SwitchedOffs((two,)))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    turn = replace(off, by=(LeftOff("stop", None, None, back=False, twice=True),))
    found = judged(HUNG, waits(owner, victim), *absent, off=SwitchedOffs((turn,)))
    assert isinstance(found, Finding)
    assert "does not ask whether it is on" in found.culprits[0].why
    assert found.certainty is Certainty.POSSIBLE
    # With nobody known: who waits is named, and only possible.
    found = judged(HUNG, waits(owner, victim), *absent)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "stop"
    assert found.certainty is Certainty.POSSIBLE
    polls = replace(off, by=(LeftOff("poll", None, None, back=True),))
    found = judged(HUNG, waits(owner, victim), *absent, off=SwitchedOffs((polls,)))
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "poll"


def test_who_can_keep_a_share_of_what_is_waited_for_comes_first() -> None:
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="event"), 9.0)
    one = KeptShare(waiting.task, module, "drv_cross", "drv_cross+0x4c", "drv_cross+0x86")
    found = judged(HUNG, waits(waiting), *[ABSENT] * 4, shares=KeptShares((one,)))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["drv_cross", "wait_ready", "reset"]
    assert found.certainty is Certainty.POSSIBLE
    assert "can return at drv_cross+0x86 without giving it back" in found.chain[1].claim


def test_who_leaves_what_it_was_handed_to_nobody_comes_first() -> None:
    module = ModulePointer("fabric", loaded=True, base=LOCK_A)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="completion"), 9.0)
    one = LeftQueued(waiting.task, module, "post", "post+0x42", "post+0x5c")
    found = judged(HUNG, waits(waiting), *[ABSENT] * 4, queues=LeftQueues((one,)))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["post", "wait_ready", "reset"]
    assert found.certainty is Certainty.POSSIBLE
    assert "can return at post+0x5c without setting going" in found.chain[1].claim


def test_who_set_the_state_that_it_waits_to_be_left_comes_first() -> None:
    module = ModulePointer("gate", loaded=True, base=LOCK_A)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="event"), 9.0)
    memory = BytesPointer(LOCK_A, "01000000")
    one = LeftState(waiting.task, "gate+0x4", 1, memory, module, ("open_gate",))
    found = judged(HUNG, waits(waiting), *[ABSENT] * 4, states=LeftStates((one,)))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["open_gate", "wait_ready", "reset"]
    assert found.certainty is Certainty.POSSIBLE
    assert "that is 1: in gate, open_gate() can set it so" in found.chain[1].claim
    assert memory in found.chain[1].because
    # Many may begin what another ends.
    many = replace(one, sets=("a", "b", "c", "d"))
    found = judged(HUNG, waits(waiting), *[ABSENT] * 4, states=LeftStates((many,)))
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "wait_ready"


def test_who_completes_for_but_one_comes_first() -> None:
    module = ModulePointer("drv", loaded=True, base=LOCK_A)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="completion"), 9.0)
    seen = BytesPointer(LOCK_B, "01")
    one = LostCompletion(waiting.task, module, "drv_cancel", seen)
    found = judged(HUNG, waits(waiting), *[ABSENT] * 4, lost=LostCompletions((one,)))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["drv_cancel", "wait_ready", "reset"]
    assert "drv_cancel [drv] can change it, and completes for but one" in found.chain[1].claim
    assert seen in found.chain[1].because


def test_what_is_anothers_to_signal_is_no_fault_of_who_waits() -> None:
    blit = ModulePointer("blit", loaded=True, base=LOCK_B)
    waiting = Wait(NAMED.stack, lock(LOCK_A, kind="fence"), 9.0)
    poison = BytesPointer(LOCK_B, "00")
    one = Unsignalled(waiting.task, blit, True, ("retire", "tick"), ("abort",), poison)
    none = [ABSENT] * 4
    found = judged(HUNG, waits(waiting), *none, given=UnsignalledWaits((one,)))
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits] == [
        ("blit", "abort"), ("blit", "retire"), ("blit", "tick"),
    ]  # fmt: skip
    assert found.certainty is Certainty.POSSIBLE
    assert "is blit's, which is to signal it: retire() and tick() can" in found.chain[1].claim
    assert poison in found.chain[2].because
    assert "abort() can take such entries off" in found.chain[3].claim
    # Nothing tells who of it has not.
    several = UnsignalledWaits((replace(one, drops=(), taken_off=None),))
    found = judged(HUNG, waits(waiting), *none, given=several)
    assert isinstance(found, Finding)
    assert (found.culprits[0].module, found.culprits[0].function) == ("blit", None)
    # It is the module's own.
    own = UnsignalledWaits((replace(one, anothers=False, taken_off=None),))
    found = judged(HUNG, waits(waiting), *none, given=own)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["abort", "wait_ready", "reset"]

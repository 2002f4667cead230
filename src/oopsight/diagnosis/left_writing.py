"""A seqlock that was left within a write section: for lock_held."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.leaked import certainty, leak_steps, leakers
from oopsight.evidence import Missing
from oopsight.evidence.hangs.lock_leaks import LockLeak, LockLeaks
from oopsight.evidence.hangs.odd_sequence import OddSequence, OddSequences
from oopsight.evidence.pointers import BytesPointer

_GENERAL = ("soft_lockup", "hard_lockup", "rcu_stall")


def left_writing(sequences: OddSequences | Missing, leaks: LockLeaks | Missing) -> Finding | None:
    """Of the first that a function of the reader's module can have left."""
    if isinstance(sequences, Missing) or isinstance(leaks, Missing):
        return None
    for one in sequences.found:
        if one.lock is None:
            if one.left_by:
                return _count_left(one)
            continue
        found = [
            leak
            for leak in leaks.of("spinlock", one.lock.address)
            if leak.module.name == one.state.module.name
        ]
        if found:
            return _left(one, one.lock, found, leaks)
    return None


def _reader(one: OddSequence) -> str:
    return f"{one.state.function} [{one.state.module.name}]"


def _odd_step(one: OddSequence) -> Step:
    return Step(
        f"{_reader(one)} waits for the number at {one.sequence.address:#x} to become even, as it "
        "is while nobody writes",
        (one.state.task, one.sequence),
    )


def _left(one: OddSequence, lock: BytesPointer, found: list[LockLeak], leaks: LockLeaks) -> Finding:
    names = " or ".join(dict.fromkeys(leak.function for leak in found))
    fixed = all(leak.lock is not None for leak in found)
    steps = [
        _odd_step(one),
        Step(
            f"the spinlock behind it, at {lock.address:#x}, is held, and no code on any CPU's "
            "stack has taken it: whoever took it has returned",
            (lock,),
        ),
        *leak_steps(found),
    ]
    return Finding(
        title=f"a seqlock was left locked by {names}",
        summary=f"{_reader(one)} waits for a writer that has returned; {names} can return within "
        "write_seqlock().",
        certainty=certainty(found, leaks) if fixed else Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=leakers(found, None),
        advice=("Call write_sequnlock() on every path out of the function.",),
        refines=_GENERAL,
    )


def _count_left(one: OddSequence) -> Finding:
    """Of a sequence count: a writer may hold a lock with which it sleeps, and be at work still."""
    module = one.state.module
    names = " or ".join(one.left_by)
    why = "can return with the sequence count odd, and makes it even again on another way"
    return Finding(
        title=f"a sequence count was left odd by {names}",
        summary=f"{_reader(one)} waits for a writer that has returned; {names} can return within "
        "write_seqcount_begin().",
        certainty=Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED,
        depth=Depth.ROOT_CAUSE,
        chain=(
            _odd_step(one),
            Step("no CPU's code holds a spinlock", (one.state.task,)),
            *(Step(f"{name} [{module.name}] {why}", (module,)) for name in one.left_by),
        ),
        culprits=tuple(Culprit(module.name, name, None, None, why) for name in one.left_by),
        advice=("Call write_seqcount_end() on every path out of the function.",),
        refines=_GENERAL,
    )

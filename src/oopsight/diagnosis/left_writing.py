"""A seqlock that was left within a write section: for lock_held."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Depth, Finding, Step
from oopsight.diagnosis.leaked import certainty, leak_steps, leakers
from oopsight.evidence import Missing
from oopsight.evidence.hangs.lock_leaks import LockLeak, LockLeaks
from oopsight.evidence.hangs.odd_sequence import OddSequence, OddSequences


def left_writing(sequences: OddSequences | Missing, leaks: LockLeaks | Missing) -> Finding | None:
    """Of the first that a function of the reader's module can have left."""
    if isinstance(sequences, Missing) or isinstance(leaks, Missing):
        return None
    for one in sequences.found:
        found = [
            leak
            for leak in leaks.of("spinlock", one.lock.address)
            if leak.module.name == one.state.module.name
        ]
        if found:
            return _left(one, found, leaks)
    return None


def _left(one: OddSequence, found: list[LockLeak], leaks: LockLeaks) -> Finding:
    reader = f"{one.state.function} [{one.state.module.name}]"
    names = " or ".join(dict.fromkeys(leak.function for leak in found))
    fixed = all(leak.lock is not None for leak in found)
    steps = [
        Step(
            f"{reader} waits for the number at {one.sequence.address:#x} to become even, as it is "
            "while nobody writes",
            (one.state.task, one.sequence),
        ),
        Step(
            f"the spinlock behind it, at {one.lock.address:#x}, is held, and no code on any CPU's "
            "stack has taken it: whoever took it has returned",
            (one.lock,),
        ),
        *leak_steps(found),
    ]
    return Finding(
        title=f"a seqlock was left locked by {names}",
        summary=f"{reader} waits for a writer that has returned; {names} can return within "
        "write_seqlock().",
        certainty=certainty(found, leaks) if fixed else Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=leakers(found, None),
        advice=("Call write_sequnlock() on every path out of the function.",),
        refines=("soft_lockup", "hard_lockup", "rcu_stall"),
    )

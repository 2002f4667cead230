"""A workqueue that does not get on.

Finds
    A work item that holds up its queue, and the tasks that wait for the queue.

Why it happens
    The item waits for something that comes from another item behind it, or never; or it loops.

How it is decided
    A task waits in a flush of a work item or queue; its barrier names the queue; the workers that
    carry out an item of that queue are found from the worker threads, and one of them neither
    finishes nor waits for a lock.

When it is wrong
    The item may be slow rather than stuck; compare how long the worker has not run. Where several
    workers serve the queue and the item waited for has not begun, which of them holds it up is not
    known, and the verdict only *possible*.

Example
    ``mirror_copy()`` waits on an ordered queue for what ``mirror_seal()``, queued behind it, would
    do; ``lsyncd`` hangs in ``flush_work()``.

Look next
    ``bt`` of the worker, ``log`` for ``workqueue lockup``.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.diagnosis.stalls import (
    blame,
    blamed,
    distinct,
    doing,
    holds_step,
    place_of,
    victims_step,
    waits_step,
    who,
)
from oopsight.evidence.hangs.waiting import Waits


def workqueue_stall(waits: Waits) -> Finding | Clear | Undecided:
    """Decide whether a work item holds its queue up."""
    pile = next((p for p in waits.piles() if p[0].kind == "work"), None)
    if pile is None:
        return Clear("nobody waits for a workqueue that is held up by one of its items")
    lock, victims = pile
    holder = lock.holders[0]
    worker = waits.of(holder.task.address)
    if worker is None or worker.place is None:
        return Undecided(f"the worker {who(holder)} cannot be read")
    first = next((w for w in victims if w.lock is lock), victims[0])
    several = len(lock.holders) > 1
    steps = [
        waits_step(first),
        holds_step(lock, holder, worker),
        Step(
            f"the worker {doing(worker)}",
            (
                *place_of(worker),
                *(worker.lock.because if worker.lock is not None else ()),
            ),
        ),
    ]
    behind = victims_step(victims, {first.task.address})
    steps += [behind] if behind else []
    why = f"holds up the {lock.title}: it {doing(worker)}"
    culprits = [
        blame(call, why)
        for call in worker.stack.blamable
        if worker.call is not None and call.module == worker.call.module
    ] or [*blamed(worker, why)]
    return Finding(
        title=f"{worker.place} holds up the {lock.title.removeprefix('work on ')}",
        summary=f"A work item in {worker.place} {doing(worker)}; {len(victims)} "
        f"{'waits' if len(victims) == 1 else 'wait'} for its queue.",
        certainty=Certainty.POSSIBLE if several else Certainty.INFERRED,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=distinct(culprits),
        advice=("Do not wait in a work item for what comes from the same queue; limit the wait.",),
        refines=("hung_task", "lock_held"),
    )

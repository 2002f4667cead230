"""A workqueue that does not get on.

Finds
    A work item that holds up its queue, and the tasks that wait for the queue.

Why it happens
    The item waits for something that comes from another item behind it, or never; or it loops.

How it is decided
    A task waits in a flush of a work item or queue; its barrier names the queue; the workers that
    carry out an item of that queue are found from the worker threads, and one of them neither
    finishes nor waits for a lock. Or it waits for what a work item is to signal, by that one's
    code, which has not begun: the item before it in its queue has not ended, or runs on and on on
    a CPU whose pool of workers begins no other meanwhile.

When it is wrong
    The item may be slow rather than stuck; compare how long the worker has not run. Where several
    workers serve the queue and the item waited for has not begun, which of them holds it up is not
    known, and the verdict only *possible*. A worker that waits for a lock is kept by whoever has
    that: ``lock_held`` goes before this.

Example
    ``mirror_copy()`` waits on an ordered queue for what ``mirror_seal()``, queued behind it, would
    do; ``lsyncd`` hangs in ``flush_work()``.

Look next
    ``bt`` of the worker, ``log`` for ``workqueue lockup``.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.diagnosis.stalls import (
    BY_QUEUE,
    LOCKS,
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
from oopsight.evidence.hangs.waiting import Lock, Waits

_DO_NOT_WAIT = "Do not wait in a work item for what comes from the same queue; limit the wait."
_END_IT = (
    "Let the work item end, or sleep between its looks: cond_resched() alone lets no other begin."
)


def workqueue_stall(waits: Waits) -> Finding | Clear | Undecided:
    """Decide whether a work item holds its queue up."""
    pile = next((p for p in waits.piles() if _is_queue(p[0])), None)
    if pile is None:
        return Clear("nobody waits for a workqueue that is held up by one of its items")
    lock, victims = pile
    holder = lock.holders[0]
    worker = waits.of(holder.task.address)
    if worker is None or worker.place is None:
        return Undecided(f"the worker {who(holder)} cannot be read")
    first = next((w for w in victims if w.lock is lock), victims[0])
    several = len(lock.holders) > 1
    # Who keeps that, and with it the worker, is the one to blame.
    behind_lock = worker.lock is not None and worker.lock.kind in LOCKS
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
    what, items = _held_up(lock)
    why = f"holds up {what}: it {doing(worker)}"
    culprits = [
        blame(call, why)
        for call in worker.stack.blamable
        if worker.call is not None and call.module == worker.call.module
    ] or [*blamed(worker, why)]
    return Finding(
        title=f"{worker.place} holds up {items}",
        summary=f"A work item in {worker.place} {doing(worker)}; {len(victims)} "
        f"{'waits' if len(victims) == 1 else 'wait'} for "
        f"{'its queue' if lock.kind == 'work' else 'one that cannot begin before it ends'}.",
        certainty=Certainty.POSSIBLE
        if several or behind_lock or lock.kind == "event"
        else Certainty.INFERRED,
        depth=Depth.MECHANISM if behind_lock else Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=distinct(culprits),
        advice=(_END_IT if holder.known_by == "pool" else _DO_NOT_WAIT,),
        refines=("hung_task",) if behind_lock else ("hung_task", "lock_held"),
    )


def _is_queue(lock: Lock) -> bool:
    """Whether work is waited for that has not begun, or is not done."""
    return lock.kind == "work" or any(one.known_by in BY_QUEUE for one in lock.holders)


def _held_up(lock: Lock) -> tuple[str, str]:
    """What is held up, and what of it the title names."""
    if lock.kind == "work":
        return f"the {lock.title}", f"the {lock.title.removeprefix('work on ')}"
    return f"the {lock.title}, {lock.detail}", "the work items behind it"

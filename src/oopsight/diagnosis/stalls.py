"""What the rules for lockups, hangs and deadlocks have in common: saying who waits for whom."""

from __future__ import annotations

from oopsight.diagnosis import Culprit, Step
from oopsight.evidence.hangs.stacks import Call
from oopsight.evidence.hangs.waiting import Holder, Lock, Wait
from oopsight.evidence.pointers import Pointer
from oopsight.kernel.lock_functions import FROZEN

_MOST_VICTIMS = 4
OTHERS_END = ("grace period", "thread", "work", "timer")
"""Kinds of what is waited for that somebody does not hold but keeps from ending."""
LOCKS = (
    *("mutex", "rwsem", "semaphore", "rtmutex", "spinlock", "page", "bit", "srcu"),
    *("percpu_rwsem", "grace period", "users", "socket", FROZEN),
)
"""Kinds of what somebody takes, and has to give back."""
BY_QUEUE = ("queue", "pool")
"""How holders are known that keep a work item from beginning."""


def who(wait: Wait | Holder) -> str:
    """A task by name and number."""
    return f"{wait.task.comm} (pid {wait.task.pid})"


def blame(call: Call, why: str, thing: str | None = None) -> Culprit:
    """A function on somebody's stack as the culprit."""
    return Culprit(call.module, call.function, None, thing, why)


def place_of(wait: Wait) -> tuple[Pointer, ...]:
    """The proof of where a task waits."""
    if wait.call is not None:
        return (wait.stack.pointer(wait.call),)
    return wait.work.because if wait.work is not None else ()


def blamed(wait: Wait, why: str, thing: str | None = None) -> tuple[Culprit, ...]:
    """Where a task waits, as the culprit."""
    if wait.call is not None:
        return (blame(wait.call, why, thing),)
    if wait.work is None or wait.work.module is None:
        return ()
    return (Culprit(wait.work.module, wait.work.function, None, thing, why),)


def distinct(culprits: list[Culprit]) -> tuple[Culprit, ...]:
    """Each function once, for the first of its reasons."""
    found: dict[tuple[str | None, str | None], Culprit] = {}
    for culprit in culprits:
        found.setdefault((culprit.module, culprit.function), culprit)
    return tuple(found.values())


def waits_step(wait: Wait) -> Step:
    """Who waits where and for what."""
    because: list[Pointer] = [wait.task]
    where = f" in {wait.place}" if wait.place is not None else ""
    because += place_of(wait)
    if wait.lock is None:
        return Step(f"{who(wait)} does not get on{where}", tuple(because))
    because += wait.lock.because
    verb = "spins on" if wait.lock.kind == "spinlock" else "waits for"
    since = f", for {wait.seconds:.0f} s" if wait.seconds else ""
    mode = f" to {wait.lock.mode}" if wait.lock.mode else ""
    mode += f", {wait.lock.detail}," if wait.lock.detail else ""
    return Step(f"{who(wait)} {verb} {wait.lock.title}{mode}{where}{since}", tuple(because))


def holds_step(lock: Lock, holder: Holder, wait: Wait | None) -> Step:
    """Who holds it, and how that is known."""
    because: list[Pointer] = [*lock.because]
    known = {
        "owner": "the lock names its owner",
        "last reader": "the lock names its last reader",
        "last holder": "the lock names its last holder",
        "code": "its code has taken it and not given it back",
        "signals": "its code goes on to signal it",
        "timer": "its CPU carries the timer's function out",
        "queue": "the work item that signals it waits in the queue until this one has ended",
        "pool": "that is to begin on the same CPU, where no work does as long as this one runs",
        "user": "it is in a call of its functions",
        "reader": "RCU lists it among the readers that sleep",
        "worker": "it carries out work of that queue",
    }[holder.known_by]
    if holder.alive:
        because.append(holder.task)
    taken = ""
    call = wait.holding(lock) if wait is not None else None
    if call is None and holder.known_by == "code":
        known = "its code goes on to give it back"
    if wait is not None and call is not None:
        site = next(h.taken_at for h in call.holds if lock.is_held_as(h))
        taken = f"; it took it at {site}"
        because.append(wait.stack.pointer(call))
    tie = "is held up by" if holder.known_by in BY_QUEUE else held_by(lock)
    return Step(f"{lock.title} {tie} {who(holder)}: {known}{taken}", tuple(because))


def held_by(lock: Lock) -> str:
    """What ties a holder to what is waited for."""
    if lock.kind == "users":
        return "are, among others,"
    if lock.kind in ("completion", "event", "fence"):
        return "is to come from"
    return "is held up by" if lock.kind in OTHERS_END else "is held by"


def victims_step(waits: tuple[Wait, ...], but: set[int]) -> Step | None:
    """The others that wait as well."""
    others = [w for w in waits if w.task.address not in but]
    if not others:
        return None
    names = ", ".join(who(w) for w in others[:_MOST_VICTIMS])
    more = f" and {len(others) - _MOST_VICTIMS} more" if len(others) > _MOST_VICTIMS else ""
    return Step(f"behind it wait {names}{more}", tuple(w.task for w in others[:_MOST_VICTIMS]))


def doing(wait: Wait) -> str:
    """What a task that holds something is doing, in words."""
    call = wait.call
    where = f" in {wait.place}" if wait.place is not None else ""
    if wait.lock is None:
        busy = "runs" if wait.stack.state == "R" else "sleeps"
        loop = ", in a loop" if call is not None and call.in_loop and busy == "runs" else ""
        return f"{busy}{where}{loop}"
    if wait.lock.kind == "time":
        return f"sleeps for a time{where}" + (", in a loop" if call and call.in_loop else "")
    if wait.lock.kind == "spinlock":
        return f"spins on {wait.lock.title}{where}"
    return f"waits for {wait.lock.title}{where}"

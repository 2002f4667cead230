"""Functions that can have returned with the lock that others wait for: which ones, and in words."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Step
from oopsight.diagnosis.doers import footprint_step
from oopsight.diagnosis.stalls import distinct
from oopsight.evidence import Missing
from oopsight.evidence.hangs.lock_leaks import LockLeak, LockLeaks, LockTaker
from oopsight.evidence.hangs.waiting import Lock, Wait
from oopsight.kernel.lock_functions import BOTTOM_HALVES, FROZEN

_RCU = "rcu"
_OFF = ("preemption", "interrupts", BOTTOM_HALVES)
_OWNED = ("mutex", "rwsem", "rtmutex")
_MOST_SUSPECTS = 3
_NEAR = 0x40
"""Bytes from the beginning of an object within which objects of many kinds have a lock."""


def certainty(
    found: list[LockLeak], leaks: LockLeaks | Missing, first: Wait | None = None
) -> Certainty:
    """Only one function that can have done it, all code read, is as good as found.

    :param first: one that waits for the lock; the function's has to lie where this one does
    """
    if not isinstance(leaks, LockLeaks) or any(one in leaks.omissions for one in found):
        return Certainty.POSSIBLE
    alone = not leaks.unread and len(found) == 1 and found[0].given_by is None
    sure = alone and (first is None or _fits(found[0], first))
    return Certainty.INFERRED if sure else Certainty.POSSIBLE


def _fits(leak: LockLeak, first: Wait) -> bool:
    """Whether the lock that a function leaves is of the kind of object that has this one."""
    if leak.lock is not None or leak.kind == _RCU:
        return True
    if first.call is not None and first.call.module == leak.module.name:
        return leak.offset is None or not first.places or leak.offset in first.places
    return leak.offset is not None and leak.offset >= _NEAR


def leaking(lock: Lock, first: Wait, leaks: LockLeaks | Missing) -> list[LockLeak]:
    """Functions that can have left it.

    At its address; else in the module that waits for it; else those that take a lock which lies in
    what they are handed where this one lies in what the waiting code was handed. There is but one
    RCU.
    """
    if isinstance(leaks, Missing):
        return []
    if lock.kind == "grace period":
        return within_rcu(leaks)
    if lock.kind == FROZEN:
        return _each(list(leaks.of(FROZEN, None)))
    found = leaks.of(lock.key[0], _address(lock))
    aimed = leaks.aimed(lock.key[0], first.places, _modes(lock))
    return _each(_closest(found, first) or list(aimed))


def suspects(lock: Lock, first: Wait, leaks: LockLeaks | Missing) -> list[LockLeak]:
    """The same, and those that should give back what others took, the most suspect first.

    Where a function may be meant to return with the lock, who is to give it back, changes something
    and returns without comes before it; who returns so without having done anything, after it.
    """
    found = leaking(lock, first, leaks)
    if isinstance(leaks, Missing) or not all(leak.given_by for leak in found):
        return found
    if lock.kind == "grace period":
        omitted = list(leaks.omitted(_RCU, None))
    else:
        omitted = _closest(leaks.omitted(lock.key[0], _address(lock)), first)
    omitted.sort(key=lambda leak: (not leak.acts, leak.ran is None, leak.said is None))
    acting = [leak for leak in omitted if leak.acts]
    ordered = [*acting, *found, *(leak for leak in omitted if not leak.acts)]
    return _each(ordered)[:_MOST_SUSPECTS] if omitted else found


def takers(lock: Lock, spinners: list[Wait], leaks: LockLeaks | Missing) -> list[LockTaker]:
    """Functions that take such a lock, where none is known to keep it; those that spin left out.

    :param spinners: all that wait for the lock
    """
    if isinstance(leaks, Missing):
        return []
    spinning = {(w.call.module, w.call.function) for w in spinners if w.call is not None}
    modules = {module for module, _ in spinning}
    places = frozenset().union(*(w.places for w in spinners))
    found: dict[tuple[str, str], LockTaker] = {}
    for one in leaks.takers:
        who = (one.module.name, one.function)
        if who in spinning or one.module.name not in modules or one.kind != lock.kind:
            continue
        at = one.lock == lock.address if one.lock is not None else _may_lie(one.offset, places)
        if at:
            found.setdefault(who, one)
    return sorted(found.values(), key=lambda one: one.lock is None and one.offset is None)


def is_lock(lock: Lock, first: Wait, leaks: LockLeaks | Missing) -> bool:
    """Whether a semaphore is used as a lock: a function of the module gives it back itself.

    One thread may also go down on a semaphore for another to go up, as for an event.
    """
    if lock.kind != "semaphore" or isinstance(leaks, Missing):
        return True
    module = first.call.module if first.call is not None else None
    return any(
        one.module.name == module
        and (one.lock == lock.address if one.lock else _may_lie(one.offset, first.places))
        for one in leaks.both
    )


def _may_lie(offset: int | None, places: frozenset[int]) -> bool:
    """Whether a lock so far from a pointer can be the one; of one at 0 nothing is known."""
    return offset is None or not places or offset in places


def left_to_itself(circle: tuple[Wait, ...], leaks: LockLeaks | Missing) -> bool:
    """Whether a task waits for a lock of its own which it can have been left with before.

    No code on its stack has taken it, and a function can have returned with it. If that was in a
    task that has exited, this one may just have its memory.
    """
    wait = circle[0]
    lock = wait.lock
    if len(circle) > 1 or lock is None or lock.kind not in _OWNED:
        return False
    found = suspects(lock, wait, leaks)
    fixed = next((leak.module.name for leak in found if leak.lock is not None), None)
    return not wait.may_hold(lock, fixed) and any(
        leak.acts or (isinstance(leaks, LockLeaks) and leak in leaks.leaks) for leak in found
    )


def _closest(found: tuple[LockLeak, ...], first: Wait) -> list[LockLeak]:
    """Leaks of the lock by its address, else of the module that waits."""
    module = first.call.module if first.call is not None else None
    fixed = [leak for leak in found if leak.lock is not None]
    return fixed or [leak for leak in found if leak.module.name == module]


def _address(lock: Lock) -> int | None:
    return None if lock.address is None else int(lock.address)


def within_rcu(leaks: LockLeaks | Missing) -> list[LockLeak]:
    """Functions that can return within a read section of RCU."""
    return [] if isinstance(leaks, Missing) else _each(list(leaks.of(_RCU, None)))


def _each(found: list[LockLeak]) -> list[LockLeak]:
    each: dict[tuple[str, str], LockLeak] = {}
    for leak in found:
        each.setdefault((leak.module.name, leak.function), leak)
    return list(each.values())


def _modes(lock: Lock) -> tuple[str | None, ...]:
    """What whoever left it can have taken it for."""
    if lock.kind != "rwsem" or lock.detail is None:
        return (None, "read", "write")
    return ("write",) if lock.detail == "held by a writer" else ("read",)


def leak_steps(found: list[LockLeak]) -> list[Step]:
    """How functions return with a lock, and what shows that they ran."""
    steps: list[Step] = []
    for leak in found:
        steps.append(leak_step(leak))
        if leak.ran is not None:
            steps.append(footprint_step(leak.ran))
        if leak.said is not None:
            text = f"{leak.function} had printed: {leak.said.text}"
            steps.append(Step(text, (leak.said,)))
    return steps


def leak_step(leak: LockLeak) -> Step:
    """How a function returns with a lock."""
    if leak.kind in _OFF:
        return Step(
            f"{leak.function} [{leak.module.name}] switches {leak.kind} off at {leak.taken_at} and "
            f"can return at {leak.returns_at} without switching on again, as on its other paths",
            (leak.module,),
        )
    what = "RCU's read lock" if leak.kind == _RCU else f"a {leak.kind}"
    if leak.taken_by is not None:
        return Step(
            f"{leak.taken_by} [{leak.module.name}] takes {what} at {leak.taken_at} for "
            f"{leak.function} to release, which can return at {leak.returns_at} without"
            + (", after it has stored to memory" if leak.acts else ""),
            (leak.module,),
        )
    handed = ""
    if leak.given_by is not None:
        handed = f"; it may hand it on, as {leak.given_by} gives back one that it has not taken"
    if leak.again_at is not None:
        handed = (
            f"; on the way it releases another one, which it has not, at {leak.again_at}{handed}"
        )
    return Step(
        f"{leak.function} [{leak.module.name}] takes {what} at {leak.taken_at} and can "
        f"return at {leak.returns_at} without releasing it, which its other paths do{handed}",
        (leak.module,),
    )


def leakers(found: list[LockLeak], name: str | None) -> tuple[Culprit, ...]:
    """Those to blame.

    :param name: of the lock
    """
    leaving = [
        Culprit(
            leak.module.name,
            leak.function,
            None,
            name,
            f"can return at {leak.returns_at} with the lock held",
        )
        for leak in found
    ]
    taking = [
        Culprit(
            leak.module.name,
            leak.taken_by,
            None,
            name,
            f"takes the lock, which {leak.function} is to release",
        )
        for leak in found
        if leak.taken_by is not None
    ]
    return distinct([*leaving, *taking])

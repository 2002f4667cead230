"""A deadlock.

Finds
    Tasks or CPUs that wait for each other in a circle, or one that waits for what it holds itself.

Why it happens
    Two locks are taken in one order here and in the other order there; or a function that takes a
    lock is called with that lock held.

How it is decided
    For each blocked task the lock it waits for is read from its own entry on the lock's list, and
    the holder from the lock. Who takes a file of /proc, sysfs or debugfs away waits for those in
    its functions; one that is called from such a function waits for itself, and so does one that
    waits for the readers of an SRCU domain within a read section of its own. A spinlock names no
    holder: there the code of the functions on each CPU's stack is followed, and one that has taken
    that very address and not given it back holds it. A CPU that deletes a timer waits for its
    function, be it on another CPU or the one that deletes. The circle closes. Of a task that waits
    for itself either its own code has taken the lock, or none that is known can have returned with
    it: else the lock was left locked before. A loop that waits for numbers to change, in an
    interrupt, waits for the function that it has interrupted if that is one of those that change
    them: it is *possible* that this is what it waits for.

When it is wrong
    A semaphore or a spinlock taken by one task and meant to be given back by another is no
    deadlock. Of a circle through two modules it is shown, but who is to blame only *possible*:
    first comes the one that uses the other's functions. So it is where one calls another's function
    with its lock held, and that comes to take it. A rw_semaphore remembers only the last of
    its readers; a circle through that memory alone is *possible*.

Example
    ``stripe_resync()`` holds ``map_mutex`` and waits for ``log_mutex``, ``stripe_trim()`` the other
    way round.

Look next
    ``bt`` of the tasks in the circle; the order of the two locks in all their users.
"""

from __future__ import annotations

from oopsight.diagnosis import (
    Certainty,
    Clear,
    Culprit,
    Depth,
    Finding,
    Step,
)
from oopsight.diagnosis.blame import modules_first
from oopsight.diagnosis.interrupted import interrupted
from oopsight.diagnosis.leaked import left_to_itself
from oopsight.diagnosis.stalls import (
    OTHERS_END,
    blame,
    blamed,
    distinct,
    held_by,
    holds_step,
    victims_step,
    waits_step,
    who,
)
from oopsight.evidence import Missing
from oopsight.evidence.hangs.cpus import Cpus
from oopsight.evidence.hangs.lock_leaks import LockLeaks
from oopsight.evidence.hangs.loop_state import LoopStates
from oopsight.evidence.hangs.stacks import Call
from oopsight.evidence.hangs.waiting import Holder, Lock, Wait, Waits
from oopsight.evidence.modules.dependencies import Dependencies

_GENERAL = (
    *("hung_task", "soft_lockup", "hard_lockup", "rcu_stall", "lock_held", "workqueue_stall"),
    *("io_not_completed", "deliberate_panic"),
)

_ENDED = (*OTHERS_END, "completion", "event", "fence", "users")


def deadlock(
    waits: Waits,
    leaks: LockLeaks | Missing,
    needs: Dependencies | Missing,
    cpus: Cpus | Missing,
    states: LoopStates | Missing,
) -> Finding | Clear:
    """Decide whether tasks wait in a circle."""
    cycles = waits.cycles()
    if not cycles:
        return interrupted(cpus, states, _GENERAL) or Clear(
            f"none of {len(waits.victims)} waiting tasks waits in a circle"
        )
    circle = max(cycles, key=len)
    if left_to_itself(circle, leaks):
        return Clear(f"{who(circle[0])} waits for a lock that was left locked before")
    links = [(wait, *_held(wait, circle)) for wait in circle]
    steps: list[Step] = []
    culprits: list[Culprit] = []
    called: list[Culprit] = []
    for wait, lock, holder, owner in links:
        steps += [waits_step(wait), holds_step(lock, holder, owner)]
        taker = owner.holding(lock)
        if owner is wait and taker is not None:
            called = _called_back(wait, taker, lock)
            culprits += called
        if taker is not None:
            what = "it took" if owner is wait else "it holds"
            culprits.append(blame(taker, f"{what} {lock.title} and waits for more", lock.name))
    for wait, lock in _ends_first([(wait, lock) for wait, lock, _, _ in links]):
        # Another module, called by the one that the kernel calls back, does what it was asked for.
        if not called or wait.call is None or wait.call.module in (None, called[0].module):
            culprits += blamed(wait, f"waits for {lock.title}", lock.name)
    behind = victims_step(waits.victims, {w.task.address for w in circle})
    steps += [behind] if behind else []
    sure = all(holder.known_by in ("owner", "reader") for _, _, holder, _ in links)
    # Of those that may signal an event, the one that is stuck need not be the only one.
    hint = any(
        (holder.known_by in ("last reader", "last holder") and owner.holding(lock) is None)
        or (holder.known_by == "signals" and lock.kind == "event")
        for _, lock, holder, owner in links
    )
    established = Certainty.SHOWN if sure else Certainty.POSSIBLE if hint else Certainty.INFERRED
    culprits, several = _users_first(modules_first(culprits), needs)
    locks = " and ".join(dict.fromkeys(lock.title for _, lock, _, _ in links))
    if len(circle) == 1:
        title = f"deadlock: {who(circle[0])} waits for {locks}, which {_itself(links[0][1])}"
        summary = f"{who(circle[0])} took {locks} and wants it a second time."
        if links[0][1].kind in _ENDED:
            summary = f"{who(circle[0])} waits for {locks}, which it holds up itself."
    else:
        title = f"deadlock of {' and '.join(who(w) for w in circle)}"
        said = (
            f"{who(w)} waits for {lock.title}, which {held_by(lock)} {who(o)}"
            for w, lock, _, o in links
        )
        summary = f"{'; '.join(said)}."
    return Finding(
        title=title,
        summary=summary,
        # Which of two modules should have kept to the other's order is open.
        certainty=Certainty.POSSIBLE if several else established,
        cause_certainty=established if several else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=distinct(culprits),
        advice=("Take these locks in one order everywhere, or release the one first.",)
        if len(circle) > 1
        else (_advice(links[0][1]),),
        refines=_GENERAL,
    )


def _ends_first(links: list[tuple[Wait, Lock]]) -> list[tuple[Wait, Lock]]:
    """With those first, of one module, that wait for others to end.

    They should not have what these may need.
    """
    modules = {wait.call.module for wait, _ in links if wait.call is not None} - {None}
    if len(modules) > 1:
        return links
    return sorted(links, key=lambda one: one[1].kind not in OTHERS_END)


def _users_first(
    culprits: list[Culprit], needs: Dependencies | Missing
) -> tuple[list[Culprit], bool]:
    """With the modules first that use another in the circle, and whether there are several.

    Who offers functions to others does not know their locks.
    """
    names = list(dict.fromkeys(one.module for one in culprits if one.module is not None))
    several = len(names) > 1
    if not several or isinstance(needs, Missing):
        return culprits, several

    def used(culprit: Culprit) -> bool:
        name = culprit.module
        return name is None or not any(needs.has(name, other) for other in names)

    return sorted(culprits, key=used), True


def _called_back(wait: Wait, taker: Call, lock: Lock) -> list[Culprit]:
    """The function of another that is called with the lock held, and that comes to wait for it."""
    others = (None, taker.module)
    calls = (call for call in wait.stack.blamable if call.index < taker.index)
    inside = [call for call in calls if call.module not in others]
    why = f"is called with {lock.title} held, and comes to wait for it"
    return [blame(inside[-1], why, lock.name)] if inside else []


def _advice(lock: Lock) -> str:
    """What to do about one that waits for itself."""
    if lock.kind == "users":
        return (
            "Take the file away from a work item, or, of sysfs, by device_remove_file_self() "
            "before the rest."
        )
    return "Release the lock before the call, or call a variant that expects it held."


def _itself(lock: Lock) -> str:
    return "it holds up itself" if lock.kind in _ENDED else "it holds itself"


def _held(wait: Wait, circle: tuple[Wait, ...]) -> tuple[Lock, Holder, Wait]:
    """What a member of the circle waits for, and the member that holds it."""
    members = {w.task.address: w for w in circle}
    lock = wait.lock
    holder = next((h for h in lock.holders if h.task.address in members), None) if lock else None
    if lock is None or holder is None:
        raise ValueError("a task in a circle waits for nobody in it")
    return lock, holder, members[holder.task.address]

"""A lock that is not given back.

Finds
    The one holder behind which tasks pile up or CPUs spin: it sleeps or loops with the lock held,
    has exited, or returned without unlocking.

Why it happens
    Something slow or endless is done inside a critical section: waiting for a device's answer
    without a limit, polling. Or an error path returns without the unlock.

How it is decided
    The lock is found from the waiting tasks, its owner from the lock, or, for a spinlock, from the
    code on each CPU's stack. The root of the chain is taken: a holder that itself waits for a lock
    only passes the blame on. Where the owner has exited, has left the code that took the lock, or
    no CPU holds a spinlock that is locked, the functions of the module are followed for a path that
    returns with such a lock held while another path releases it; of two locks that it has taken one
    is left where the other is released twice, or another was released in its place. A lock in an
    object of the kernel's own, as of an inode or an address space, is known by where in the object
    it lies: there the modules from outside the kernel's tree are searched. Where ``start`` of a
    ``seq_file`` keeps the lock, the paths are those of ``stop``. Where a function of the module
    returns with the lock for others of it to give back, these are looked through for a way that
    does not: one that has changed memory before it returns is more suspect than one that finds
    nothing to do; then whom the owner's stack or the log shows to have run. A lock that the kernel
    itself took around a module's function, as the RTNL around those of a network device, is not to
    blame for what hangs in there; nor is any that a task holds which hangs by something that is
    switched off. Where no such path is found for a spinlock that no CPU's code holds, the other
    functions of the module that take a lock at that place are named: it is *possible* that one has
    kept it. A CPU that waits in ``read_seqbegin()`` for an even number, while no CPU's code holds
    the spinlock behind it, waits for a writer that returned within ``write_seqlock()``. So it is
    with a file system that a module has frozen and can return without thawing. Who waits until it
    can set a bit, as by ``test_and_set_bit()``, waits for a lock of the driver's own: if nobody is
    in code that has set it, those come first that set it and can return without clearing it, as
    they do on another way.

When it is wrong
    The holder may be slow rather than stuck; then its wait is short, see the seconds. If it waits
    for an event or a completion, or for what is not known, who should have brought that may be at
    fault: the verdict is only *possible*, and another rule's where the code tells who that is. A
    lock that is handed over to another context on purpose is held by nobody's code. Where several
    functions could have leaked the lock, the first of them is a guess, and the verdict only
    *possible*; so is it where another function of the module gives back a lock that it has not
    taken, for then the first may be meant to return with it, and the program may hold it for as
    long as it likes.

Example
    ``sensord`` waits in ``probe_query()`` for an answer that never comes, with the bus mutex held;
    two others hang in ``probe_reset()``.

Look next
    ``bt`` of the holder; what it waits for.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided, absent
from oopsight.diagnosis.leaked import (
    certainty,
    is_lock,
    leak_steps,
    leakers,
    leaking,
    left_to_itself,
    suspects,
    takers,
)
from oopsight.diagnosis.left_claimed import left_claimed
from oopsight.diagnosis.left_writing import left_writing
from oopsight.diagnosis.stalls import (
    LOCKS,
    blame,
    distinct,
    doing,
    held_by,
    holds_step,
    victims_step,
    waits_step,
    who,
)
from oopsight.evidence import Missing
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.left_claims import LeftClaims
from oopsight.evidence.hangs.left_off import SwitchedOffs
from oopsight.evidence.hangs.lock_leaks import LockLeaks
from oopsight.evidence.hangs.odd_sequence import OddSequences
from oopsight.evidence.hangs.unended import Unended
from oopsight.evidence.hangs.waiting import Holder, Lock, Wait, Waits, hung
from oopsight.kinds import Kind

_IDLE = (
    *("do_sys_poll", "do_poll*", "do_select", "core_sys_select", "ep_poll", "do_epoll_wait"),
    *("hrtimer_nanosleep", "common_nsleep", "futex_wait*", "do_wait", "kernel_wait4", "ksys_pause"),
    *("sigsuspend", "do_sigtimedwait", "__x64_sys_pause", "__do_sys_pause", "pipe_read"),
)
_LENT = ("mutex", "rwsem", "rtmutex", "semaphore", "percpu_rwsem")
_BROUGHT = ("completion", "event", "fence", "tasklet", "polling")
"""What others bring."""
_NO_SLEEP = ("spinlock", "grace period")
"""What nobody may hold who waits for anything."""
_HINTS = ("last reader", "last holder")
_STALLS = (
    *(Kind.HUNG_TASK, Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP, Kind.RCU_STALL, Kind.LOCK_MISUSE),
    Kind.PANIC_OTHER,
)
_MOST_TAKERS = 3
_GENERAL = ("hung_task", "soft_lockup", "hard_lockup", "rcu_stall", "deliberate_panic")


def lock_held(
    symptom: Symptom,
    waits: Waits | Missing,
    leaks: LockLeaks | Missing,
    switches: SwitchedOffs | Missing,
    sequences: OddSequences | Missing,
    claims: LeftClaims | Missing,
    unended: Unended | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether one holder stands in everybody's way."""
    if symptom.kind not in _STALLS:
        return Clear(f"{symptom.kind} does not come from a lock that is held")
    if isinstance(waits, Missing):
        return absent(waits)
    hangs = hung(symptom, waits)
    if symptom.kind is Kind.PANIC_OTHER and not hangs:
        return Clear("nobody had waited for long")
    cycles = waits.cycles()
    if cycles:
        circle = max(cycles, key=len)
        if not left_to_itself(circle, leaks):
            return Clear("the tasks wait in a circle")
        return _left_to_itself(circle[0], waits, leaks)
    hindered = _switched_off(symptom, switches) | _not_ended(unended)
    for lock, victims in waits.piles():
        if lock.kind == "spinlock" or (lock.kind in LOCKS and hangs):
            holder = waits.of(lock.holders[0].task.address)
            if holder is not None and holder.task.address in hindered:
                return Clear(f"{who(holder)}, which has {lock.title}, {doing(holder)}")
            return _held(symptom, lock, victims, waits, leaks)
    orphan = next(
        (
            w
            for w in waits.victims
            if w.lock
            and not w.lock.holders
            and (w.lock.kind == "spinlock" or hangs)
            and w.lock.kind in LOCKS
        ),
        None,
    )
    if orphan is not None and orphan.lock is not None:
        return _orphaned(orphan.lock, orphan, waits, leaks)
    left = left_writing(sequences, leaks) or left_claimed(claims)
    return left or Clear("nobody waits for a lock")


def _held(
    symptom: Symptom,
    lock: Lock,
    victims: tuple[Wait, ...],
    waits: Waits,
    leaks: LockLeaks | Missing,
) -> Finding | Clear | Undecided:
    holder = lock.holders[0]
    owner = waits.of(holder.task.address) if holder.alive else None
    first = next((w for w in victims if w.lock is lock), victims[0])
    if not holder.alive and not waits.whole:
        return Undecided("the list of tasks is damaged: the holder may be alive")
    if holder.alive and (owner is None or not owner.stack.calls) and not _in_user(owner):
        return Undecided(f"the stack of {who(holder)}, which holds {lock.title}, cannot be read")
    taker = owner.holding(lock) if owner is not None else None
    if owner is not None and (taker is not None or holder.known_by not in _HINTS):
        gone = owner.call is None or _idles(owner) or _elsewhere(owner, lock, first, leaks)
        if taker is None and gone:
            return _left(lock, holder, first, victims, leaks)
        if _lent(symptom, lock, owner, victims):
            return Clear(f"the kernel has {lock.title} for {who(owner)}, which {doing(owner)}")
        return _busy(lock, holder, owner, first, victims)
    if holder.known_by == "last reader" and not leaking(lock, first, leaks):
        return Undecided(f"{lock.title} is held by a reader that the lock no longer names")
    return _left(lock, holder, first, victims, leaks)


def _switched_off(symptom: Symptom, switches: SwitchedOffs | Missing) -> set[int]:
    """Tasks that hang as something is off: that is the cause, whatever they hold."""
    if symptom.kind is not Kind.HUNG_TASK or isinstance(switches, Missing):
        return set()
    return {int(one.task.address) for one in switches.found}


def _not_ended(unended: Unended | Missing) -> set[int]:
    """Tasks that hang as somebody has not ended their wait, as far as the code tells."""
    return set() if isinstance(unended, Missing) else {int(one) for one in unended.tasks}


def _lent(symptom: Symptom, lock: Lock, owner: Wait, victims: tuple[Wait, ...]) -> bool:
    """Whether the kernel took the lock for a module's function that it calls.

    As it does for any: who does not get on in there is to blame for that, and not for the lock.
    """
    if symptom.kind is not Kind.HUNG_TASK or lock.kind not in _LENT:
        return False
    if owner.call is None or owner.call.module is None:
        return False
    taker = owner.holding(lock)
    if taker is not None:
        return taker.module is None
    own = [held for call in owner.stack.calls if call.module for held in call.holds]
    waiting = [w.stack.blamable[:1] for w in victims if w.lock is not None]
    return not any(held.kind == lock.kind and held.address is None for held in own) and all(
        calls and calls[0].module is None for calls in waiting
    )


def _left_to_itself(wait: Wait, waits: Waits, leaks: LockLeaks | Missing) -> Finding | Clear:
    """A task waits for a lock that names it, and which no code on its stack has taken."""
    lock = wait.lock
    holders = lock.holders if lock is not None else ()
    holder = next((one for one in holders if one.task.address == wait.task.address), None)
    if lock is None or holder is None:
        return Clear("the task does not hold what it waits for")
    same = tuple(w for w in waits.victims if w.lock is not None and w.lock.key == lock.key)
    return _left(lock, holder, wait, same, leaks)


def _in_user(owner: Wait | None) -> bool:
    """Whether it runs in user space, where it has no kernel stack."""
    return owner is not None and owner.stack.state == "R" and owner.stack.missing is None


def _idles(owner: Wait) -> bool:
    """Whether it waits, as programs do, in a system call that holds no lock meanwhile."""
    modules = any(call.module for call in owner.stack.calls)
    return not modules and owner.stack.inside(*_IDLE) is not None


def _elsewhere(owner: Wait, lock: Lock, first: Wait, leaks: LockLeaks | Missing) -> bool:
    """Whether some code leaks the lock, and none of its module is on the owner's stack.

    The owner itself may be innocent: of a task that has exited, another may have the memory.
    """
    found = leaking(lock, first, leaks)
    modules = {leak.module.name for leak in found}
    return bool(found) and not any(call.module in modules for call in owner.stack.calls)


def _busy(
    lock: Lock, holder: Holder, owner: Wait, first: Wait, victims: tuple[Wait, ...]
) -> Finding:
    """The holder is in code that needs the lock."""
    taker = owner.holding(lock)
    caught = owner.call
    culprits: list[Culprit] = []
    # Whoever waits for a server holds what its kind of file system always holds then.
    served = owner.lock is not None and owner.lock.kind == "answer"
    if taker is not None and not served:
        culprits.append(blame(taker, f"took {_what(lock)} and {doing(owner)}", lock.name))
    if caught is not None and not served:
        culprits.append(blame(caught, f"{doing(owner)} with {_what(lock)} held", lock.name))
    because = [owner.task, *((owner.stack.pointer(caught),) if caught is not None else ())]
    if owner.lock is not None:
        because += owner.lock.because
    steps = [
        waits_step(first),
        holds_step(lock, holder, owner),
        Step(f"{who(owner)} {doing(owner)}", tuple(because)),
    ]
    behind = victims_step(victims, {first.task.address})
    steps += [behind] if behind else []
    alone = holder.known_by == "reader" and len(lock.holders) == 1
    sure = (holder.known_by == "owner" or alone) and taker is not None
    module = first.call.module if first.call is not None else None
    unlikely = taker is None and module not in {call.module for call in owner.stack.calls}
    # Somebody may have had to bring that, and has not: then the lock is but in its way.
    brought = owner.lock is not None and owner.lock.kind in _BROUGHT and not owner.lock.holders
    unknown = owner.lock is None and owner.stack.inside("schedule", "schedule_timeout") is not None
    waits = (brought or unknown) and lock.kind not in _NO_SLEEP
    return Finding(
        title=f"{lock.title} {held_by(lock)} {who(owner)}, which {doing(owner)}",
        summary=f"{who(owner)} {doing(owner)} with {_what(lock)} held; {len(victims)} "
        f"{'waits' if len(victims) == 1 else 'wait'} behind it.",
        certainty=_of_busy(sure=sure, unlikely=unlikely or waits),
        depth=Depth.MECHANISM if served else Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=distinct(culprits),
        advice=(_advice(owner),),
        refines=_GENERAL,
    )


def _advice(owner: Wait) -> str:
    if owner.lock is not None and owner.lock.kind == "answer":
        return f"Find out why there is no {owner.lock.title}: it, or the way to it, is at fault."
    return f"Find out why {who(owner)} does not get on, and limit what is done under the lock."


def _what(lock: Lock) -> str:
    """What the holder holds, where that is not what is waited for."""
    if lock.kind == "users":
        return (lock.name or "").removeprefix("of ")
    return "RCU's read lock" if lock.kind == "grace period" else lock.title


def _of_busy(*, sure: bool, unlikely: bool) -> Certainty:
    if unlikely:
        return Certainty.POSSIBLE
    return Certainty.SHOWN if sure else Certainty.INFERRED


def _left(
    lock: Lock,
    holder: Holder,
    first: Wait,
    victims: tuple[Wait, ...],
    leaks: LockLeaks | Missing,
) -> Finding:
    """The holder has left the code that needs the lock."""
    gone = "has exited" if not holder.alive else "is in no code that needs it"
    if holder.task.address == first.task.address:
        gone = "now waits for it itself"
    steps = [waits_step(first), holds_step(lock, holder, None)]
    because = (holder.task,) if holder.alive else lock.because
    # A task's memory is used again: the lock may name another than the one that took it.
    taken = "it" if not holder.alive else "it, or one that exited and whose memory it has,"
    steps.append(Step(f"{who(holder)} {gone}: {taken} never gave the lock back", because))
    found = suspects(lock, first, leaks)
    steps += leak_steps(found)
    behind = victims_step(victims, {first.task.address})
    steps += [behind] if behind else []
    return Finding(
        title=f"{lock.title} was left locked by {who(holder)}, which {gone}",
        summary=f"{lock.title} names {who(holder)}, which {gone}, and was left locked; "
        f"{len(victims)} "
        f"{'waits' if len(victims) == 1 else 'wait'} for it.",
        certainty=certainty(found, leaks, first),
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=leakers(found, lock.name) or _takers(lock, first),
        advice=("Release the lock on every path out of the function, or take it with a guard.",),
        refines=_GENERAL,
    )


def _orphaned(lock: Lock, first: Wait, waits: Waits, leaks: LockLeaks | Missing) -> Finding | Clear:
    """A lock without an owner in it, which nobody's code holds."""
    if lock.kind == "spinlock" and lock.detail is not None:
        return Clear(f"{lock.title} was written over, or is none: it is {lock.detail}")
    search = suspects if is_lock(lock, first, leaks) else leaking
    found = search(lock, first, leaks)
    if not found:
        return _kept_by_a_taker(lock, first, waits, leaks)
    steps = [waits_step(first), _nobodys_step(first), *leak_steps(found)]
    same = tuple(w for w in waits.victims if w.lock is not None and w.lock.key == lock.key)
    behind = victims_step(same, {first.task.address})
    steps += [behind] if behind else []
    names = " or ".join(leak.function for leak in found)
    return Finding(
        title=f"{lock.title} was left locked by {names}",
        summary=f"{lock.title} is locked and nobody holds it; {names} can return with it held.",
        certainty=certainty(found, leaks, first),
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=leakers(found, lock.name),
        advice=("Release the lock on every path out of the function.",),
        refines=_GENERAL,
    )


def _nobodys_step(first: Wait) -> Step:
    return Step(
        "no code on any CPU's stack has taken it and not given it back: whoever took it has "
        "returned",
        (first.task,),
    )


def _kept_by_a_taker(
    lock: Lock, first: Wait, waits: Waits, leaks: LockLeaks | Missing
) -> Finding | Clear:
    """Of no function a path is known that keeps the lock; all that take such a one are suspects."""
    same = [w for w in waits.victims if w.lock is not None and w.lock.key == lock.key]
    found = takers(lock, same, leaks)
    if not found:
        return Clear(f"who holds {lock.title} is not known")
    names = " and ".join(f"{one.function}()" for one in found[:_MOST_TAKERS])
    module = found[0].module
    behind = victims_step(tuple(same), {first.task.address})
    return Finding(
        title=f"{lock.title} was left locked, and {who(first)} spins on it",
        summary=f"{lock.title} is locked and no CPU is in code that has taken it.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=(
            waits_step(first),
            _nobodys_step(first),
            Step(f"in {module.name}, such locks are also taken by {names}", (module,)),
            *((behind,) if behind else ()),
        ),
        culprits=distinct(
            [
                *(
                    Culprit(
                        one.module.name, one.function, None, lock.name, "takes such a lock, too"
                    )
                    for one in found[:_MOST_TAKERS]
                ),
                *(blame(w.call, "spins on it", lock.name) for w in same if w.call is not None),
            ]
        ),
        advice=("Look for a path out of these functions on which the lock is not released.",),
        refines=_GENERAL,
    )


def _takers(lock: Lock, first: Wait) -> tuple[Culprit, ...]:
    """Nothing better than the code that uses the lock."""
    if first.call is None:
        return ()
    return (
        Culprit(
            first.call.module,
            None,
            None,
            lock.name,
            "its code uses the lock; who left it locked is not known",
        ),
    )

"""A task that has been blocked too long.

Finds
    A task in uninterruptible sleep that nothing wakes, where no lock and no holder explains it.

Why it happens
    The event it waits for never comes: a completion nobody signals, a lost interrupt, a device or
    server that does not answer.

How it is decided
    The kernel's detector reported a hung task; the longest blocked tasks' stacks are read and what
    they wait for is found from their own entries on its list.

    Where the function that waits looks at a number in memory as it wakes, and that stands above
    zero, the functions of its module that take it down come first; before these, one that takes
    entries off a list and frees them as those do, and does not count, or moves them to a list that
    has as many as are counted. Where it is already what the task waits for, nobody woke it: the
    functions that make it so come first, those before the others that wake nobody after that, or
    not so that an uninterruptible sleep ends. So it is with a bit that is waited for to be clear.

    Of a completion or event, functions of the module come first that can return with a reference
    which they took and give back, or a count which they raised and take down, on another way; then
    those that signal it, or bring what is waited for, on some ways only, if what they store on
    another is in memory; but not where the function that waits begins the completion anew after it
    has set going what may complete it.

When it is wrong
    The function that waits may be right to wait, and the one that should have woken it be at fault;
    the dump does not show who that is. Of a completion or an event that nobody is known to end, the
    verdict is *possible*.

Example
    ``ctrlx_wait_ready()`` waits for ``ctrlx_port+0x28``, a completion whose timer was deleted.

Look next
    ``bt`` of the task; who calls ``complete()`` for that object.
"""

from __future__ import annotations

from itertools import pairwise

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided, absent
from oopsight.diagnosis.stalls import (
    BY_QUEUE,
    blame,
    distinct,
    doing,
    holds_step,
    victims_step,
    waits_step,
    who,
)
from oopsight.evidence import Missing
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.counted_wait import CountedWait, CountedWaits
from oopsight.evidence.hangs.missed_wake import MissedWake, MissedWakes
from oopsight.evidence.hangs.omitted_signals import OmittedSignal, OmittedSignals
from oopsight.evidence.hangs.reference_leaks import ReferenceLeak, ReferenceLeaks
from oopsight.evidence.hangs.waiting import Lock, Wait, Waits
from oopsight.evidence.hangs.wakers import Wakers
from oopsight.kinds import Kind

_MOST_ENDERS = 3
_PROVEN = ("owner", "reader", "code", "signals", *BY_QUEUE)


def hung_task(
    symptom: Symptom,
    waits: Waits | Missing,
    wakers: Wakers | Missing,
    counted: CountedWaits | Missing,
    missed: MissedWakes | Missing,
    references: ReferenceLeaks | Missing,
    omitted: OmittedSignals | Missing,
) -> Finding | Clear | Undecided:
    """Decide what the reported task waits for."""
    if symptom.kind is not Kind.HUNG_TASK:
        return Clear(f"no hung task was reported, but {symptom.kind}")
    if isinstance(waits, Missing):
        return absent(waits)
    wait = _reported(symptom, waits)
    if wait is None:
        return Undecided("the hung task's stack cannot be read")
    if any(w.lock_unread for w in waits.victims):
        return Undecided("a task waits for a lock that is not in the dump")
    chain, closed = waits.chain(wait)
    if len(chain) > 1 and not closed and chain[-1].call is not None:
        return _behind_another(wait, chain[-1], chain, waits)
    if wait.lock is not None and wait.lock.kind == "frozen file system":
        return _frozen(wait, wait.lock, waits)
    what = wait.lock.title if wait.lock is not None else "something unknown"
    where = f" in {wait.call.name}" if wait.call is not None else ""
    behind = victims_step(waits.victims, {wait.task.address})
    served = wait.lock is not None and wait.lock.kind == "answer"
    # Whoever should have ended the wait, or has the lock, is the one to blame, and is not known.
    held = wait.lock is not None and bool(wait.lock.holders)
    named = wait.call is not None and (held or served)
    count = counted.of(wait.task.address) if isinstance(counted, CountedWaits) else None
    count = count if count is not None and len(count.lowers) <= _MOST_ENDERS else None
    asleep = missed.of(wait.task.address) if isinstance(missed, MissedWakes) else None
    leaks = _leaks(wait, references) if asleep is None else ()
    silent = omitted.of(wait.task.address) if isinstance(omitted, OmittedSignals) else ()
    silent = () if asleep or leaks else silent[:_MOST_ENDERS]
    return Finding(
        title=f"{who(wait)} hangs{where}",
        summary=f"{who(wait)} waits for {what}{where}, and nothing wakes it"
        f"{', though it could go on' if asleep else ''}.",
        certainty=Certainty.INFERRED if named else Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=(
            waits_step(wait),
            *((_count_step(wait, count),) if count else ()),
            *((_missed_step(wait, asleep),) if asleep else ()),
            *_enders(wait, wakers),
            *(_leak_step(leak) for leak in leaks),
            *(_silent_step(one) for one in silent),
            *((behind,) if behind else ()),
        ),
        culprits=distinct(
            [
                *_not_ending(count, leaks, silent, asleep),
                *(_waiting(wait, what) if not served else ()),
            ]
        ),
        advice=(f"Find out who should have ended the wait for {what}, and why it did not.",),
    )


def _not_ending(
    count: CountedWait | None,
    leaks: tuple[ReferenceLeak, ...],
    silent: tuple[OmittedSignal, ...],
    asleep: MissedWake | None,
) -> list[Culprit]:
    """Who should have ended the wait; what is known of the very count that is waited for first."""
    return [
        *(_lowering(count) if count and (count.drops or count.parks) else ()),
        *(_keeping(leak) for leak in leaks),
        *(_omitting(one) for one in silent if one.seen),
        *(_lowering(count) if count else ()),
        *(_omitting(one) for one in silent),
        *(_not_waking(asleep) if asleep else ()),
    ]


def _waiting(wait: Wait, what: str) -> list[Culprit]:
    """Who waits, and who called that, of one module."""
    name = wait.lock.name if wait.lock is not None else None
    return [
        blame(call, f"waits for {what}" if call is wait.call else "called what waits", name)
        for call in wait.stack.blamable
        if wait.call is not None and call.module == wait.call.module
    ]


def _leaks(wait: Wait, references: ReferenceLeaks | Missing) -> tuple[ReferenceLeak, ...]:
    """Who of the module can have kept a reference; nobody where the wait has another reason."""
    if isinstance(references, Missing) or wait.call is None or wait.lock is None:
        return ()
    if wait.lock.holders or wait.lock.kind not in ("completion", "event"):
        return ()
    found = [r for r in references.of(wait.call.module) if r.function != wait.call.function]
    return tuple(found[:_MOST_ENDERS])


def _leak_step(leak: ReferenceLeak) -> Step:
    error = f" with error {leak.error}" if leak.error is not None else ""
    return Step(
        f"{leak.function} [{leak.module.name}] can return at {leak.returns_at}{error} with the "
        f"reference that it took at {leak.taken_at}, which it gives back on another way",
        (leak.module,),
    )


def _keeping(leak: ReferenceLeak) -> Culprit:
    why = f"can return at {leak.returns_at} with a reference, the last of which is waited for"
    return Culprit(leak.module.name, leak.function, None, None, why)


def _silent_step(one: OmittedSignal) -> Step:
    seen = ", and what it stores only then is in memory" if one.seen else ""
    return Step(
        f"{one.function} [{one.module.name}] can return at {one.returns_at} without bringing what "
        f"is waited for, as it does on another way{seen}",
        (one.module, *one.seen),
    )


def _omitting(one: OmittedSignal) -> Culprit:
    why = f"can return at {one.returns_at} without bringing what is waited for"
    return Culprit(one.module.name, one.function, None, None, why)


def _count_step(wait: Wait, count: CountedWait) -> Step:
    place = count.name or str(count.counter)
    names = " and ".join(f"{name}()" for name in count.lowers)
    return Step(
        f"{who(wait)} looks at {place} before it goes on, and that is {count.count}: in "
        f"{count.module.name}, {names} can take it down",
        (count.memory, count.module),
    )


def _lowering(count: CountedWait) -> list[Culprit]:
    """Who did not take the count down, or not on every path.

    One that frees what others count as they free it comes first, then one that sets it aside.
    """
    place = count.name or str(count.counter)
    not_down = f"frees entries of a list, as others do that take {place} down, and does not"
    why = f"takes {place} down, which the task waits for; it stands at {count.count}"
    aside = f"moves entries to a list that has as many as {place} counts, and leaves that alone"
    named = [(name, not_down) for name in count.drops] + [(name, aside) for name in count.parks]
    named += [(name, why) for name in count.lowers]
    return [Culprit(count.module.name, name, None, count.name, reason) for name, reason in named]


def _missed_step(wait: Wait, asleep: MissedWake) -> Step:
    place = asleep.name or str(asleep.number)
    names = " and ".join(f"{name}()" for name in asleep.silent[:_MOST_ENDERS])
    who_not = f": in {asleep.module.name}, {names} can make it so and wake nobody" if names else ""
    return Step(
        f"{who(wait)} looks at {place} before it goes on, and that is {asleep.value}, with which "
        f"it would go on: it was not woken{who_not}",
        (asleep.memory, asleep.module),
    )


def _not_waking(asleep: MissedWake) -> list[Culprit]:
    """Who made true what the task waits for: those first that do not tell it."""
    place = asleep.name or str(asleep.number)
    why = f"changes {place}, which the task waits for"
    named = [(name, f"{why}, and wakes nobody") for name in asleep.silent]
    named += [(name, why) for name in asleep.waking]
    return [
        Culprit(asleep.module.name, name, None, asleep.name, reason)
        for name, reason in named[:_MOST_ENDERS]
    ]


def _enders(wait: Wait, wakers: Wakers | Missing) -> tuple[Step, ...]:
    """Which functions of the module can have been to end the wait."""
    if isinstance(wakers, Missing) or wait.call is None or wait.lock is None or wait.lock.holders:
        return ()
    found = wakers.of(wait.call.module, wait.lock.kind)
    if not 1 <= len(found) <= _MOST_ENDERS:
        return ()
    names = " and ".join(f"{w.function}() calls {w.calls}()" for w in found)
    only = "only " if len(found) == 1 else ""
    return (Step(f"in {wait.call.module}, {only}{names}", tuple({w.module for w in found})),)


def _frozen(wait: Wait, lock: Lock, waits: Waits) -> Finding:
    """No code is at fault: a program froze the file system and has not thawed it."""
    behind = victims_step(waits.victims, {wait.task.address})
    return Finding(
        title=f"file system {lock.name} is frozen, and {who(wait)} hangs",
        summary=f"{who(wait)} wants to write to {lock.name}, which is frozen and was not thawed.",
        certainty=Certainty.INFERRED,
        depth=Depth.MECHANISM,
        chain=(
            waits_step(wait),
            Step(f"the superblock of {lock.name} says that it is frozen", lock.because),
            *((behind,) if behind else ()),
        ),
        advice=(
            "Find out who froze it (fsfreeze, a snapshot, a backup agent), and why it was not "
            "thawed.",
        ),
    )


def _behind_another(wait: Wait, root: Wait, chain: list[Wait], waits: Waits) -> Finding:
    """The task waits for another, which does not get on."""
    steps = [waits_step(wait)]
    # A lock that readers share remembers only who read last: it need not be the one in the way.
    proven = all(
        link.lock is not None
        and link.lock.holders
        and (link.lock.kind == "thread" or link.lock.holders[0].known_by in _PROVEN)
        for link in chain[:-1]
    )
    for inner, outer in pairwise(chain):
        if inner.lock is not None and inner.lock.holders:
            steps.append(holds_step(inner.lock, inner.lock.holders[0], outer))
    steps.append(waits_step(root))
    behind = victims_step(waits.victims, {wait.task.address, root.task.address})
    steps += [behind] if behind else []
    served = root.lock is not None and root.lock.kind == "answer"
    stuck = [c for c in root.stack.blamable if root.call and c.module == root.call.module]
    stuck = [] if served else stuck
    called = [wait.call] if wait.call is not None and not served else []
    return Finding(
        title=f"{who(wait)} hangs behind {who(root)}, which {doing(root)}",
        summary=f"{who(wait)} waits for {who(root)}, which {doing(root)}.",
        certainty=Certainty.INFERRED if proven else Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=distinct(
            [
                *(blame(c, f"{who(root)} does not get on in it") for c in stuck),
                *(blame(c, f"waits for {who(root)}") for c in called),
            ]
        ),
        advice=(f"Find out why {_why(root)}.",),
    )


def _why(root: Wait) -> str:
    if root.lock is not None and root.lock.kind == "answer":
        return f"there is no {root.lock.title}: it, or the way to it, is at fault"
    return f"{who(root)} does not get on"


def _reported(symptom: Symptom, waits: Waits) -> Wait | None:
    """The task that the kernel named, else the one that has waited longest."""
    victims = [w for w in waits.victims if w.stack.calls]
    named = next(
        (w for w in victims if f"{w.task.comm}:{w.task.pid} " in _text(symptom)),
        None,
    )
    return named or next(iter(victims), None)


def _text(symptom: Symptom) -> str:
    return f"{symptom.headline.text} " if symptom.headline is not None else ""

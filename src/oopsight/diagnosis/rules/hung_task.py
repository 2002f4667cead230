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
    has as many as are counted. So it is, the other way round, with a number that is waited for to
    rise, as of credits. Where it is already what the task waits for, nobody woke it: the functions
    that make it so come first, those before the others that wake nobody after that, or not so that
    an uninterruptible sleep ends. So it is with a bit that is waited for to be clear. Where it is a
    state that the functions of the module set by a number, those come before who waits that have
    set what is there, and of several those that never set it back themselves.

    Of a completion or event, functions of the module come first that can return with a reference
    which they took and give back, or a count which they raised and take down, on another way; then
    those that signal it, or bring what is waited for, on some ways only, if what they store on
    another is in memory; but not where the function that waits begins the completion anew after it
    has set going what may complete it. If the last of several parts signals it, those are asked
    that count the parts, and on some way hand out fewer. If who waits goes on to take a share of
    something, a count or a bit in a map, those that take one, too, and can return without giving it
    back, as they do on another way. If the entry with the completion is on no list any more, those
    that take such off and complete none; if nobody would wait any more, those that have made that
    so and complete for but one.

    A fence is to be signalled by the driver whose operations it has, and a completion by the module
    in whose data it lies or that alone completes any: functions of that one come first, and who
    waits is not blamed where it is another's. Where the entry with what is waited for was taken off
    its list, those come first that take entries off a list and signal nothing, as others do that
    take them off; of a helper of both, who calls it and does not signal. Before these come
    functions, of another module as well, that whoever waits calls, which put what they are handed
    where it is worked off later, and set that going on some ways only.

    Where something is switched off without which the task does not get on (NAPI that it disables
    and that is disabled, a tasklet that it ends and that is disabled, an interrupt of the driver
    whose signal it waits for, a timer or work item that starts itself again and wakes whoever waits
    and is not pending, a disk's queue that is frozen, quiesced or stopped), functions of the module
    that has it come first that can return with it off and switch it on again on another way; of one
    that polls and has not said that it is complete, this one. All this is asked as well of the task
    behind which the reported one waits.

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
from oopsight.diagnosis.awaited import Awaited, Enders
from oopsight.diagnosis.stalls import (
    BY_QUEUE,
    OTHERS_END,
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
from oopsight.evidence.hangs.counted_wait import CountedWaits
from oopsight.evidence.hangs.kept_shares import KeptShares
from oopsight.evidence.hangs.left_off import SwitchedOffs
from oopsight.evidence.hangs.left_queued import LeftQueues
from oopsight.evidence.hangs.left_states import LeftStates
from oopsight.evidence.hangs.lost_completions import LostCompletions
from oopsight.evidence.hangs.missed_wake import MissedWakes
from oopsight.evidence.hangs.omitted_signals import OmittedSignals
from oopsight.evidence.hangs.reference_leaks import ReferenceLeaks
from oopsight.evidence.hangs.skipped_parts import SkippedParts
from oopsight.evidence.hangs.unsignalled import UnsignalledWaits
from oopsight.evidence.hangs.waiting import Lock, Wait, Waits
from oopsight.evidence.hangs.wakers import Wakers
from oopsight.kernel.lock_functions import FROZEN
from oopsight.kinds import Kind

_PROVEN = ("owner", "reader", "code", "signals", *BY_QUEUE)


def hung_task(
    symptom: Symptom,
    waits: Waits | Missing,
    wakers: Wakers | Missing,
    counted: CountedWaits | Missing,
    missed: MissedWakes | Missing,
    references: ReferenceLeaks | Missing,
    omitted: OmittedSignals | Missing,
    switches: SwitchedOffs | Missing,
    parts: SkippedParts | Missing,
    shares: KeptShares | Missing,
    lost: LostCompletions | Missing,
    unsignalled: UnsignalledWaits | Missing,
    queues: LeftQueues | Missing,
    states: LeftStates | Missing,
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
    enders = Enders(
        *(wakers, counted, missed, references, omitted, switches, parts, shares, lost),
        *(unsignalled, queues, states),
    )
    chain, closed = waits.chain(wait)
    if len(chain) > 1 and not closed and chain[-1].call is not None:
        return _behind_another(enders.of(chain[-1]), chain, waits)
    if wait.lock is not None and wait.lock.kind == FROZEN:
        return _frozen(wait, wait.lock, waits)
    what = wait.lock.title if wait.lock is not None else "something unknown"
    where = f" in {wait.call.name}" if wait.call is not None else ""
    behind = victims_step(waits.victims, {wait.task.address})
    served = wait.lock is not None and wait.lock.kind == "answer"
    # Whoever should have ended the wait, or has the lock, is the one to blame, and is not known.
    held = wait.lock is not None and bool(wait.lock.holders)
    named = wait.call is not None and (held or served)
    awaited = enders.of(wait)
    return Finding(
        title=f"{who(wait)} hangs{where}",
        summary=f"{who(wait)} waits for {what}{where}, and nothing wakes it"
        f"{', though it could go on' if awaited.asleep else ''}.",
        certainty=Certainty.INFERRED if named or awaited.alone else Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=(
            waits_step(wait),
            *awaited.steps,
            *((behind,) if behind else ()),
        ),
        culprits=distinct(
            [
                *awaited.culprits,
                *(_waiting(wait, what) if not served and not awaited.anothers else ()),
            ]
        ),
        advice=(f"Find out who should have ended the wait for {what}, and why it did not.",),
    )


def _waiting(wait: Wait, what: str) -> list[Culprit]:
    """Who waits, and who called that, of one module."""
    name = wait.lock.name if wait.lock is not None else None
    return [
        blame(call, f"waits for {what}" if call is wait.call else "called what waits", name)
        for call in wait.stack.blamable
        if wait.call is not None and call.module == wait.call.module
    ]


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


def _behind_another(awaited: Awaited, chain: list[Wait], waits: Waits) -> Finding:
    """The task waits for another, which does not get on."""
    wait, root = chain[0], chain[-1]
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
    steps += [waits_step(root), *awaited.steps]
    behind = victims_step(waits.victims, {wait.task.address, root.task.address})
    steps += [behind] if behind else []
    served = root.lock is not None and root.lock.kind == "answer"
    stuck = [c for c in root.stack.blamable if root.call and c.module == root.call.module]
    stuck = [] if served else stuck
    called = [wait.call] if wait.call is not None and not served else []
    return Finding(
        title=f"{who(wait)} hangs behind {who(root)}, which {doing(root)}",
        summary=f"{who(wait)} waits for {who(root)}, which {doing(root)}.",
        certainty=Certainty.INFERRED
        if proven and (awaited.alone or not _ended_by_another(chain))
        else Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=distinct(
            [
                *awaited.culprits,
                *(blame(c, f"{who(root)} does not get on in it") for c in stuck),
                *(blame(c, f"waits for {who(root)}") for c in called),
            ]
        ),
        advice=(f"Find out why {_why(root)}.",),
    )


def _ended_by_another(chain: list[Wait]) -> bool:
    """Whether the last one waits for what somebody who is not known should have ended.

    Who is asked to end its work, as a thread is that is to stop, is to blame itself.
    """
    lock, behind = chain[-1].lock, chain[-2].lock
    asked = behind is not None and behind.kind in OTHERS_END
    return lock is not None and not lock.holders and lock.kind != "answer" and not asked


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

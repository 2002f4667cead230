"""A grace period that does not end.

Finds
    The CPU or task that keeps RCU from finishing a grace period, and the function it is in.

Why it happens
    A loop inside ``rcu_read_lock()``, or anywhere in the kernel without ``cond_resched()``; or a
    task that sleeps inside ``rcu_read_lock()``.

How it is decided
    The kernel reported an RCU stall and panics on it. The CPUs that still owe a quiescent state are
    read from RCU's own tree, and from the report. On the stack of such a CPU the code is followed;
    the innermost function which can come back to where it was caught is the loop. A task that
    sleeps within a read section is on RCU's own list of those it waits for; the code on its stack
    tells which function took the read lock. Where none on it did, and no module's code is there, a
    function that has returned did: those of the modules from outside the kernel's tree are searched
    for a path that returns within a read section which another path leaves.

    Where the loop goes from object to object, these are followed. If they run in a ring, the
    functions of the module come first that link in what they have neither made nor taken out.
    Where it ends by numbers in memory, who is at fault is only *possible*: the functions that
    change them come first, unless the loop changes none of them on some way round; before these,
    where such a number is zero, those that fill memory in use with zeros. Where it changes nothing
    and a field is zero that nobody sets any more, those that make such objects and leave it so.

When it is wrong
    As with every sample the loop may be further out than the one caught. A starved virtual CPU or
    a starved grace period thread also stalls RCU; then no CPU is in a loop.

Example
    ``neighx_find()`` probes a full hash table without end inside ``rcu_read_lock()``.

Look next
    ``bt`` of that CPU; ``log`` for the report.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.diagnosis.leaked import certainty, leak_step, leakers, within_rcu
from oopsight.diagnosis.loops import caught_in
from oopsight.diagnosis.stalls import blame, distinct
from oopsight.evidence import Missing
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.grace_period import GracePeriod, Reader
from oopsight.evidence.hangs.lock_leaks import LockLeak, LockLeaks
from oopsight.evidence.hangs.loop_state import LoopStates
from oopsight.evidence.hangs.ring_makers import RingMakers
from oopsight.evidence.hangs.stacks import Call
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind


def rcu_stall(
    symptom: Symptom,
    cpus: Cpus | Missing,
    grace: GracePeriod | Missing,
    leaks: LockLeaks | Missing,
    rings: RingMakers | Missing,
    states: LoopStates | Missing,
) -> Finding | Clear | Undecided:
    """Decide who keeps the grace period from ending."""
    if symptom.kind is not Kind.RCU_STALL:
        return Clear(f"no RCU stall was reported, but {symptom.kind}")
    if isinstance(cpus, Missing):
        return Undecided(cpus.detail)
    found = _blocking(cpus, grace)
    readers = grace.readers if isinstance(grace, GracePeriod) else ()
    off = [r for r in readers if cpus.running(r.stack.task.address) is None or _in_user(r, cpus)]
    asleep = next(iter(sorted(off, key=lambda r: r.stack.state == "R")), None)
    left = within_rcu(leaks)
    if asleep is not None and left and _has_left(asleep, cpus):
        return _left(symptom, asleep, left, leaks, len(off))
    if asleep is not None and asleep.stack.culprit is not None:
        return _asleep(symptom, asleep, asleep.stack.culprit, len(readers))
    if found is None:
        return Undecided("no CPU that keeps the grace period from ending is in a loop")
    cpu, proof = found
    call = cpu.stack.looping
    if call is None:
        return Undecided("no function on the stack of the CPU that is stuck can be to blame")
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    loop = caught_in(cpu.stack, call, rings, states)
    others = [c for c in cpu.stack.blamable if c is not call and c.module == call.module]
    return Finding(
        title=f"RCU stall: CPU {cpu.number} loops in {call.name}",
        summary=f"{call.name} on CPU {cpu.number} does not get on, so that no grace period ends.",
        certainty=Certainty.INFERRED if loop.sure else Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if call.in_loop and not call.follows_pointers else None,
        depth=Depth.MECHANISM,
        chain=(
            Step("a grace period of RCU did not end", (*headline, *proof)),
            Step(
                f"CPU {cpu.number}, which owes it a quiescent state, was caught "
                f"{'in a loop ' if call.in_loop else ''}in {call.name}",
                (cpu.task, cpu.stack.pointer(call)),
            ),
            *loop.steps,
        ),
        culprits=distinct(
            [
                *loop.culprits,
                *(blame(c, "on the same stack") for c in others),
            ]
        ),
        advice=(f"Find out which condition ends the loop in {call.name}, and why it never came.",),
    )


def _asleep(symptom: Symptom, reader: Reader, call: Call, count: int) -> Finding:
    """A task sleeps within a read section."""
    stack = reader.stack
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    name = f"{stack.task.comm} (pid {stack.task.pid})"
    taken = [(c, h) for c in stack.blamable for h in c.holds if h.kind == "rcu"]
    taker = next(iter(taken), None)
    preempted = "was preempted" if stack.state == "R" else "sleeps"
    steps = [
        Step("a grace period of RCU did not end", headline or (stack.task,)),
        Step(
            f"RCU waits for {name}, which {preempted} in {call.name} within a read section",
            (stack.task, stack.pointer(call), *reader.because),
        ),
    ]
    if taker is not None:
        steps.append(
            Step(
                f"{taker[0].name} had entered it at {taker[1].taken_at} and has not left it",
                (stack.pointer(taker[0]),),
            )
        )
    culprits = [blame(taker[0], f"{preempted} within rcu_read_lock()")] if taker else []
    culprits.append(blame(call, f"{preempted} there, called within rcu_read_lock()"))
    sure = taker is not None and count == 1
    return Finding(
        title=f"RCU stall: {name} {preempted} in {call.name} within rcu_read_lock()",
        summary=f"{name} {preempted} in {call.name} within a read section of RCU, so that no grace "
        "period ends.",
        certainty=Certainty.INFERRED if sure else Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE if sure else Depth.MECHANISM,
        chain=tuple(steps),
        culprits=distinct(culprits),
        advice=("Leave the read section before anything that sleeps, or use SRCU.",),
    )


def _in_user(reader: Reader, cpus: Cpus) -> bool:
    """Whether it runs in user space."""
    cpu = cpus.running(reader.stack.task.address)
    return cpu is not None and cpu.in_user


def _has_left(reader: Reader, cpus: Cpus) -> bool:
    """Whether nothing on its stack entered the read section, nor is any module's code there."""
    if _in_user(reader, cpus):
        return True
    calls = reader.stack.calls
    entered = any(h.kind == "rcu" for call in calls for h in call.holds)
    return reader.stack.missing is None and not entered and not any(c.module for c in calls)


def _left(
    symptom: Symptom, reader: Reader, left: list[LockLeak], leaks: LockLeaks | Missing, count: int
) -> Finding:
    """A task within a read section which none of its calls has entered: one that returned did."""
    stack = reader.stack
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    name = f"{stack.task.comm} (pid {stack.task.pid})"
    names = " or ".join(leak.function for leak in left)
    sure = certainty(left, leaks) if count == 1 else Certainty.POSSIBLE
    return Finding(
        title=f"RCU stall: {name} is within a read section that {names} left open",
        summary=f"{name} is within a read section of RCU that no function on its stack entered; "
        f"{names} can return within one.",
        certainty=sure,
        depth=Depth.ROOT_CAUSE,
        chain=(
            Step("a grace period of RCU did not end", headline or (stack.task,)),
            Step(
                f"RCU waits for {name}, on whose stack no function has entered a read section",
                (stack.task, *reader.because),
            ),
            *(leak_step(leak) for leak in left),
        ),
        culprits=leakers(left, None),
        advice=("Call rcu_read_unlock() on every path out of the function.",),
    )


def _blocking(cpus: Cpus, grace: GracePeriod | Missing) -> tuple[Cpu, tuple[Pointer, ...]] | None:
    """A busy CPU that owes a quiescent state, a looping one first; else the only one in a loop."""
    busy = [c for c in cpus.cpus if not c.idle and not c.in_user and c.stack.blamable]
    owing = {}
    if isinstance(grace, GracePeriod):
        owing = {debt.cpu: debt.because for debt in grace.owing}
    ranked = sorted(
        (c for c in busy if c.number in owing),
        key=lambda c: not ((call := c.stack.looping) and call.in_loop),
    )
    if ranked:
        return ranked[0], owing[ranked[0].number]
    looped = [c for c in busy if (call := c.stack.looping) and call.in_loop]
    return (looped[0], ()) if len(looped) == 1 else None

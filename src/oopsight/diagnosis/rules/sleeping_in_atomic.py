"""Sleeping where it is not allowed.

Finds
    A task that slept, or was about to, with preemption disabled: in an interrupt, or with a
    spinlock held; or within ``rcu_read_lock()``.

Why it happens
    A function that may sleep is called inside a critical section; or a function returned without
    unlocking, and its task sleeps later, innocently, anywhere.

How it is decided
    The kernel reported "scheduling while atomic" or "sleeping function called from invalid
    context"; or a check of its failed that is against sleeping alone, as the one for a context
    switch within a read section of RCU, or that of ``vmalloc()`` for an interrupt. The code of each
    function on the stack is followed: one that has taken a spinlock, or RCU's read lock, and not
    given it back is where it is held. In an interrupt, under a lock of the kernel's own and in a
    chain of atomic notifiers, the first function of a module that is called there comes first, and
    what it calls after it; so does that of a module which needs the one that holds the lock, and is
    called back by it. Where there is neither, somebody who has returned kept it: the functions of
    the modules from outside the kernel are searched for a path that returns with such a lock which
    another path releases, or with preemption or bottom halves off which another path switches on.
    The count in the kernel's report tells which of these it was.

When it is wrong
    Preemption disabled by other means is not found in code; then the innermost function of a module
    is suspect, and the verdict *possible*. So it is where several functions of a module
    are on the way to the sleep: a helper may be at fault, which should not sleep. A leaked lock may
    be none of the modules' that were searched.

Example
    ``tagm_clear()`` holds ``tagm_lock`` and calls ``tagm_drop()``, which waits in
    ``synchronize_rcu()``.

Look next
    ``bt``; ``p preempt_count`` of the task's thread_info.
"""

from __future__ import annotations

import re

from oopsight.diagnosis import (
    Certainty,
    Clear,
    Culprit,
    Depth,
    Finding,
    Innocent,
    Step,
    Undecided,
)
from oopsight.diagnosis.leaked import certainty, leak_step
from oopsight.diagnosis.stalls import blame, distinct
from oopsight.evidence import Missing
from oopsight.evidence.crash.forbidden_sleep import INTERRUPT, IRQS, RCU, ForbiddenSleep
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.lock_leaks import LockLeak, LockLeaks
from oopsight.evidence.hangs.stacks import Call, HeldLock
from oopsight.evidence.modules.dependencies import Dependencies
from oopsight.evidence.pointers import LogPointer, Pointer
from oopsight.kernel.lock_functions import BOTTOM_HALVES
from oopsight.kinds import Kind

_INTERRUPT = (
    "asm_sysvec_*",
    "asm_common_interrupt",
    "handle_softirqs",
    "__do_softirq",
    "do_softirq*",
    "handle_irq_event*",
    "asm_exc_nmi",
    "call_timer_fn",
    "tasklet_action*",
)


def sleeping_in_atomic(
    symptom: Symptom,
    cpus: Cpus | Missing,
    leaks: LockLeaks | Missing,
    check: ForbiddenSleep | Missing,
    modules: Dependencies | Missing,
) -> Finding | Clear | Undecided:
    """Decide who disabled preemption."""
    if symptom.kind is not Kind.SLEEPING_IN_ATOMIC and isinstance(check, Missing):
        return Clear(f"nothing slept in atomic context; the first report is {symptom.kind}")
    if isinstance(cpus, Missing):
        return Undecided(cpus.detail)
    cpu = cpus.panicking
    if cpu is None or not cpu.stack.calls:
        return Undecided("the stack of the task that slept cannot be read")
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    within = check.within if isinstance(check, ForbiddenSleep) else None
    because = (*headline, cpu.task, *((check.frame,) if isinstance(check, ForbiddenSleep) else ()))
    slept = Step(f"{cpu.task.comm} (pid {cpu.task.pid}) {_STATES[within]}", because)
    entry = cpu.stack.inside(*_INTERRUPT)
    # What the interrupted code holds is not the interrupt's doing.
    own = [c for c in cpu.stack.calls if entry is None or c.index < entry.index]
    held = [(c, lock) for c in own if (lock := _atomic(c, within)) is not None]
    by_module = next(((c, lock) for c, lock in held if c.module), None)
    if by_module is not None:
        return _held(slept, cpu, *by_module, Certainty.INFERRED, modules)
    if entry is not None and within != RCU:
        return _in_interrupt(slept, cpu, entry)
    if held:
        # What the kernel's own functions call may well release their lock before it calls back.
        inner = any(c.module for c in own if c.index < held[0][0].index)
        certainty = Certainty.POSSIBLE if inner else Certainty.INFERRED
        return _held(slept, cpu, *held[0], certainty, modules)
    return _leaked(slept, cpu, leaks, within)


_CALL_BACK_ATOMICALLY = ("atomic_notifier_call_chain*",)
"""Functions of the kernel whose callbacks must not sleep, whoever calls them and how."""
_KINDS = ("spinlock", "preemption", BOTTOM_HALVES, "interrupts")
_COUNT = re.compile(r"scheduling while atomic: .*/(?:0x)?([0-9a-f]{8})$")
_SOFTIRQS = 0xFF00  # include/linux/preempt.h: SOFTIRQ_MASK
_REFINED = ("warning", "bug_on")
_STATES = {
    None: "slept with preemption disabled",
    RCU: "slept within a read section of RCU",
    INTERRUPT: "called what may sleep, in an interrupt or with bottom halves off",
    IRQS: "called what may sleep, with interrupts off",
}


def _atomic(call: Call, within: str | None) -> HeldLock | None:
    """What a function has taken or switched off so that it must not sleep.

    :param within: what the kernel's check found, if it tells
    """
    return next((lock for lock in call.holds if _forbids(lock, within)), None)


def _forbids(lock: HeldLock, within: str | None) -> bool:
    if within == RCU:
        return lock.kind == "rcu"
    if within == INTERRUPT:
        return lock.kind == "spinlock" and "_bh" in lock.by
    if within == IRQS:
        return lock.kind == "interrupts" or (lock.kind == "spinlock" and "_irq" in lock.by)
    return lock.kind in _KINDS


def _held(
    slept: Step,
    cpu: Cpu,
    holder: Call,
    lock: HeldLock,
    certainty: Certainty,
    modules: Dependencies | Missing,
) -> Finding:
    what = f"spinlock {lock.name or lock.address or 'of its own'} held"
    how = f"took it with {lock.by}() at {lock.taken_at} and has not given it back"
    if lock.kind == "rcu":
        what = "RCU's read lock held"
    elif lock.kind != "spinlock":
        what = f"{lock.kind} off"
        how = f"switched it off as {lock.by}() does at {lock.taken_at} and not on again"
    between = [c for c in cpu.stack.blamable if c.index < holder.index]
    # What another module offers may sleep: who calls it by its name has to know.
    asked = [c for c in between if holder.module and _asked(cpu, holder, c)]
    inner = [c for c in between if c not in asked]
    # The module's function that the kernel calls under its lock has to know of that.
    chain = cpu.stack.inside(*_CALL_BACK_ATOMICALLY)
    below = -1 if chain is None or chain.index > holder.index else chain.index
    knowing = [c for c in between if not holder.module or c.index < below]
    knowing = knowing or [c for c in between if c not in asked and _registers(c, holder, modules)]
    outer = [*(c for c in knowing[::-1] if c.module), *(c for c in knowing if not c.module)]
    # What another module offers may be meant not to sleep.
    several = bool(asked) or len({c.name for c in [*inner, holder] if c.module}) > 1
    steps = [
        slept,
        Step(f"{holder.name} is there with {what}: it {how}", (cpu.stack.pointer(holder),)),
    ]
    if between:
        steps.append(
            Step(
                f"it called {between[-1].name}, which led to the sleep",
                (cpu.stack.pointer(between[-1]),),
            )
        )
    return Finding(
        title=f"{holder.name} sleeps with {what}",
        summary=f"{holder.name} calls what sleeps, with {what}.",
        certainty=Certainty.POSSIBLE if several else certainty,
        cause_certainty=certainty if several else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=distinct(
            [
                *(blame(c, f"sleeps, called with {what}") for c in outer),
                blame(holder, f"sleeps with {what}", lock.name),
                *(blame(c, "sleeps, called so") for c in inner),
            ]
        ),
        innocent=tuple(
            Innocent(name, f"{holder.name} called it by its name: it may sleep")
            for name in dict.fromkeys(c.module for c in asked)
            if name is not None
        ),
        advice=("Do the sleeping part outside, or use a mutex.",),
        refines=_REFINED,
    )


def _asked(cpu: Cpu, holder: Call, call: Call) -> bool:
    """Whether it is another module's, and every call on the way to it names what it calls."""
    way = [c for c in cpu.stack.calls if call.index < c.index <= holder.index]
    return call.module not in (None, holder.module) and all(c.calls_by_name for c in way)


def _registers(call: Call, holder: Call, modules: Dependencies | Missing) -> bool:
    """Whether the holder calls back, through a pointer, a module that needs its own.

    Whoever registers a callback has to know how it is called.
    """
    return isinstance(modules, Dependencies) and modules.has(call.module, holder.module)


def _in_interrupt(slept: Step, cpu: Cpu, entry: Call) -> Finding | Undecided:
    within = [c for c in cpu.stack.blamable if c.index < entry.index]
    if not within:
        return Undecided("no function in the interrupt can be to blame")
    frames = _of_one(within)
    call = frames[0]
    blamed = [c for c in frames if c.module == call.module]
    # What another module offers, and was called, may be meant not to sleep.
    alone = call.module is not None and len({c.name for c in frames}) == 1
    return Finding(
        title=f"{call.name} sleeps in an interrupt",
        summary=f"{call.name} runs in an interrupt, timer or tasklet, and calls what sleeps.",
        certainty=Certainty.INFERRED if alone else Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if call.module else None,
        depth=Depth.ROOT_CAUSE,
        chain=(
            slept,
            Step(f"{call.name} ran in an interrupt", (cpu.stack.pointer(call),)),
        ),
        culprits=distinct(
            [
                blame(call, "runs in an interrupt"),
                *(blame(c, "sleeps, called so") for c in blamed[1:]),
            ]
        ),
        innocent=tuple(
            Innocent(name, f"{call.module} called it by its name: it may sleep")
            for name in dict.fromkeys(c.module for c in frames if c not in blamed)
            if name is not None
        ),
        advice=("Hand the sleeping part to a workqueue.",),
        refines=_REFINED,
    )


def _of_one(within: list[Call]) -> list[Call]:
    """The frames of the innermost module, and of those that called it by name; outermost first.

    :param within: since the interrupt, innermost first
    """
    module = next((c.module for c in within if c.module), None)
    end = max(i for i, c in enumerate(within) if c.module == module) + 1
    while end < len(within) and within[end].module and within[end].calls_by_name:
        if within[end].index > within[end - 1].index + 1:
            break  # it called the kernel, and that the module
        end += 1
    return [c for c in within[:end] if c.module or module is None][::-1]


def _kinds(slept: Step, within: str | None) -> tuple[str, ...]:
    """Kinds of what can have been left, the most likely first.

    :param slept: with the kernel's report, which has the count of what forbids to sleep
    """
    if within == RCU:
        return ("rcu",)
    if within == INTERRUPT:
        return (BOTTOM_HALVES, "spinlock")
    if within == IRQS:
        return ("interrupts", "spinlock")
    texts = [one.text for one in slept.because if isinstance(one, LogPointer)]
    count = next((int(m[1], 16) for text in texts if (m := _COUNT.search(text.strip()))), None)
    if count is None:
        return ("spinlock", "preemption", BOTTOM_HALVES)
    return (BOTTOM_HALVES, "spinlock") if count & _SOFTIRQS else ("spinlock", "preemption")


def _what(kind: str) -> str:
    if kind == "rcu":
        return "RCU's read lock held"
    return "a spinlock held" if kind == "spinlock" else f"{kind} off"


def _leaked(
    slept: Step, cpu: Cpu, leaks: LockLeaks | Missing, within: str | None
) -> Finding | Undecided:
    kinds = _kinds(slept, within)
    found = [
        leak for kind in kinds if isinstance(leaks, LockLeaks) for leak in leaks.of(kind, None)
    ]
    names: dict[tuple[str, str], LockLeak] = {}
    for leak in found:
        names.setdefault((leak.module.name, leak.function), leak)
    what = _what(found[0].kind) if found else ""
    if not names:
        call = next((c for c in cpu.stack.blamable if c.module), None)
        if call is None:
            return Undecided("who forbade it is neither on the stack nor found in modules")
        return Finding(
            title=f"sleep in atomic context under {call.name}",
            summary=f"{call.name} {_STATES[within]}; by whom that was is not found.",
            certainty=Certainty.POSSIBLE,
            depth=Depth.SYMPTOM,
            chain=(slept, Step(f"on its stack is {call.name}", (cpu.stack.pointer(call),))),
            culprits=distinct([blame(c, "on the stack") for c in cpu.stack.blamable if c.module]),
            refines=_REFINED,
        )
    steps = [
        slept,
        Step(f"no function on its stack has {what}: one that has returned left it so", (cpu.task,)),
        *(leak_step(leak) for leak in names.values()),
    ]
    who = " or ".join(leak.function for leak in names.values())
    return Finding(
        title=f"{who} returned with {what}, and its task slept",
        summary=f"{cpu.task.comm} {_STATES[within]}, which {who} left so.",
        certainty=certainty(list(names.values()), leaks),
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(
            Culprit(
                leak.module.name,
                leak.function,
                None,
                None,
                f"can return at {leak.returns_at} with {_what(leak.kind)}",
            )
            for leak in names.values()
        ),
        advice=("Undo on every path out of the function what forbids to sleep.",),
        refines=_REFINED,
    )

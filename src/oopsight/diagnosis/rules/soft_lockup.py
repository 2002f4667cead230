"""A CPU that does not get out of the kernel.

Finds
    The function in which a CPU ran for so long that nothing else could be scheduled on it.

Why it happens
    A loop whose end never comes: a list turned into a ring, a bit that is never set, a table
    without a free slot; or a loop over too much without ``cond_resched()``.

How it is decided
    The kernel's watchdog reported a soft lockup. On the stack of the CPU that it names, the code of
    each function is followed; the innermost one which can come back to where it was caught is the
    loop. A loop in a module goes before one in the kernel's own code, which serves it. Where the
    loop looks for a bit to be clear, those come before it that set it and can return without
    clearing it, as they do on another way. Where the CPU that was reported is in no loop and no
    module, and one other loops in a module, that one is taken: it is *possible* only.

    Where it goes from object to object, these are followed. If they run in a ring, the functions of
    the module come first that link in what they have neither made nor taken out before; if the ring
    is a list in good order, before them who moves all entries of one away and leaves its head
    leading to them; where the loop has but RCU's read lock, then those that take an entry out and
    link it in again at once, in whatever chain, or with itself. Where it ends by numbers in memory,
    and changes some of them on each way round, the other functions of the module that change them
    come first: those that put something else there before those that only go on from what is there;
    before these, if the loop keeps its own number within a limit, those that do not. One that goes
    on by more than one and ends by equality alone may step over its end, and comes first itself,
    unless one of several others does not go on by that number; so does one that counts in fewer
    bits than the number has which it is to count to. Where it counts how far its caller
    told it, and that is so far away yet that nobody means it, the caller comes first. Where it goes
    from place to place and the number there is zero in memory, those that fill memory in use with
    zeros come before the rest; where nobody does, the loop itself, which does not look at it. Where
    it looks for a free place in a table, those come first that fill one and do not compare how many
    are in use with a limit, as others do. Where it changes nothing itself and a field is zero that
    nobody sets any more, those that make such objects and leave it so come first.

When it is wrong
    The dump is one sample: the loop may be further out than the one caught. A loop that goes from
    object to object ends as these are linked, one that reads from memory as that is: who made them
    so is not known for sure, and the verdict only *possible*. On an overcommitted virtual machine
    the CPU may just not have been given time.

Example
    ``flow_find()`` follows a list whose head is no longer in it.

Look next
    ``bt`` of the CPU; the data that the loop runs over.
"""

from __future__ import annotations

import re

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.diagnosis.loops import caught_in
from oopsight.diagnosis.stalls import blame, distinct
from oopsight.evidence import Missing
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.loop_state import LoopStates
from oopsight.evidence.hangs.ring_makers import RingMakers
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind

_STUCK = re.compile(r"soft lockup - CPU#(\d+) stuck")


def soft_lockup(
    symptom: Symptom,
    cpus: Cpus | Missing,
    rings: RingMakers | Missing,
    states: LoopStates | Missing,
) -> Finding | Clear | Undecided:
    """Decide where the CPU is caught."""
    if symptom.kind is not Kind.SOFT_LOCKUP:
        return Clear(f"no soft lockup was reported, but {symptom.kind}")
    if isinstance(cpus, Missing):
        return Undecided(cpus.detail)
    cpu = _stuck(symptom, cpus)
    if cpu is None:
        return Undecided("the stack of the CPU that is stuck cannot be read")
    reported = _STUCK.search(symptom.headline.text) if symptom.headline is not None else None
    another = reported is not None and int(reported[1]) != cpu.number
    call = cpu.stack.looping
    because: list[Pointer] = [symptom.headline] if symptom.headline is not None else []
    steps = [
        Step(
            f"CPU {cpu.number} ran {cpu.task.comm} (pid {cpu.task.pid}) without end"
            f"{', and the one that was reported is in no loop' if another else ''}",
            (*because, cpu.task),
        )
    ]
    if call is None:
        return Undecided("no function on the stack of the CPU that is stuck can be to blame")
    how = "in a loop" if call.in_loop else "on the stack"
    steps.append(Step(f"it was caught {how} in {call.name}", (cpu.stack.pointer(call),)))
    if cpu.spins_on is not None:
        name = cpu.spins_on.name or cpu.spins_on.address
        steps.append(Step(f"it spins on spinlock {name}; who holds it is not known", (cpu.task,)))
    loop = caught_in(cpu.stack, call, rings, states)
    steps += loop.steps
    others = [c for c in cpu.stack.blamable if c is not call and c.module == call.module]
    sure = loop.sure and cpu.spins_on is None and not another
    return Finding(
        title=f"soft lockup in {call.name}",
        summary=f"CPU {cpu.number} did not get out of {call.name}.",
        certainty=Certainty.INFERRED if sure else Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if call.in_loop else None,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=distinct(
            [
                *loop.culprits,
                *(blame(c, "on the same stack") for c in others),
            ]
        ),
        advice=(f"Find out which condition ends the loop in {call.name}, and why it never came.",),
    )


def _stuck(symptom: Symptom, cpus: Cpus) -> Cpu | None:
    """The CPU that was reported; another that loops in a module, where it is in no loop itself."""
    match = _STUCK.search(symptom.headline.text) if symptom.headline is not None else None
    number = int(match[1]) if match else symptom.cpu
    cpu = cpus.number(number) if number is not None else cpus.panicking
    if cpu is None or not cpu.stack.calls:
        return None
    waits = not _loops(cpu) and not any(call.module for call in cpu.stack.calls)
    others = [one for one in cpus.cpus if waits and _loops(one) and not one.in_user]
    return others[0] if len(others) == 1 else cpu


def _loops(cpu: Cpu) -> bool:
    """Whether it was caught in a loop of a module."""
    call = cpu.stack.looping
    return call is not None and bool(call.in_loop) and call.module is not None

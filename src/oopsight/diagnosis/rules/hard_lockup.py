"""A CPU that does not answer, with interrupts off.

Finds
    The CPU that sits in kernel code with interrupts off while the others wait for it.

Why it happens
    A loop, or an endless wait for a device, between ``local_irq_save()`` or
    ``spin_lock_irqsave()`` and their ends.

How it is decided
    The crash was a lockup, an RCU stall or the NMI watchdog's. A CPU other than an idle one was
    stopped by NMI in kernel code, and its saved flags show interrupts off. Where another CPU is the
    one reported, it was waiting for an answer to an interprocessor interrupt, or for a quiescent
    state, which a CPU with interrupts off cannot give.

When it is wrong
    Interrupts are off for short times everywhere; a CPU may have been stopped in such a moment.
    Therefore the code must also be in a loop, or its CPU be named by the kernel's report.

Example
    ``doorbell_ring()`` waits for a bit with interrupts off; a kworker on the other CPU is reported,
    in ``smp_call_function_many_cond()``.

Look next
    ``bt -a``; who turned interrupts off.
"""

from __future__ import annotations

import re

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.diagnosis.stalls import blame, distinct
from oopsight.evidence import Missing
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.stacks import HeldLock
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind

_KINDS = (Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP, Kind.RCU_STALL)
_AWAITED = (
    "smp_call_function*",
    "generic_exec_single",
    "csd_lock_wait*",
    "flush_tlb_multi*",
    "stop_machine*",
    "multi_cpu_stop",
    "text_poke_bp*",
    "on_each_cpu*",
)
_NAMED = (
    re.compile(r"rcu:\s+(\d+)-.* ticks this GP"),
    re.compile(r"hard LOCKUP on cpu (\d+)"),
)


def hard_lockup(
    symptom: Symptom, cpus: Cpus | Missing, log: Log | Missing
) -> Finding | Clear | Undecided:
    """Decide which CPU keeps interrupts off."""
    if symptom.kind not in _KINDS:
        return Clear(f"{symptom.kind} does not come from a CPU with interrupts off")
    if isinstance(cpus, Missing):
        return Undecided(cpus.detail)
    named = _named(log)
    deaf = [
        cpu
        for cpu in cpus.cpus
        if cpu.interrupts_on is False
        and not cpu.idle
        and not cpu.in_user
        and cpu.spins_on is None
        and (not cpu.panicking or symptom.kind is Kind.HARD_LOCKUP)
    ]
    stuck = [c for c in deaf if (call := c.stack.looping) and (call.in_loop or c.number in named)]
    if len(stuck) != 1:
        return Clear(
            "no CPU sits in a loop with interrupts off"
            if not stuck
            else f"{len(stuck)} CPUs sit in loops with interrupts off"
        )
    return _found(symptom, stuck[0], cpus)


def _found(symptom: Symptom, cpu: Cpu, cpus: Cpus) -> Finding | Undecided:
    call = cpu.stack.looping
    if call is None:
        return Undecided("no function on the stack of the CPU that is stuck can be to blame")
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    steps = [
        Step(
            f"CPU {cpu.number}, running {cpu.task.comm} (pid {cpu.task.pid}), was stopped in "
            f"{call.name} with interrupts off",
            (*headline, cpu.task, cpu.stack.pointer(call)),
        )
    ]
    found = next(((c, h) for c in cpu.stack.blamable for h in c.holds if _masks(h)), None)
    holder = found[0] if found is not None else None
    if found is not None:
        lock = found[1]
        name = f" on {lock.name or lock.address}" if lock.address is not None else ""
        steps.append(
            Step(
                f"{found[0].name} had switched them off with {lock.by}(){name} at {lock.taken_at}",
                (cpu.stack.pointer(found[0]),),
            )
        )
    victim = cpus.panicking
    if victim is not None and victim is not cpu:
        waits = victim.stack.inside(*_AWAITED)
        if waits is not None:
            steps.append(
                Step(
                    f"CPU {victim.number}, which was reported, waits in {waits.function} for the "
                    "other CPUs to answer",
                    (victim.task, victim.stack.pointer(waits)),
                )
            )
    culprits = [
        *(
            (blame(holder, "turned interrupts off and did not get on"),)
            if holder is not None
            else ()
        ),
        blame(call, "loops with interrupts off"),
        *(blame(c, "on the same stack") for c in cpu.stack.blamable if c.module == call.module),
    ]
    return Finding(
        title=f"CPU {cpu.number} is stuck in {call.name} with interrupts off",
        summary=f"{call.name} on CPU {cpu.number} does not get on, with interrupts off; the other "
        "CPUs wait for it.",
        certainty=Certainty.POSSIBLE if call.follows_pointers else Certainty.INFERRED,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=distinct(culprits),
        advice=("Limit the wait, and do it with interrupts on.",),
        refines=("soft_lockup", "rcu_stall"),
    )


def _masks(held: HeldLock) -> bool:
    """Whether it was taken in a way that switches interrupts off."""
    return held.kind == "interrupts" or held.by.endswith(("_irq", "_irqsave"))


def _named(log: Log | Missing) -> set[int]:
    """CPUs that the kernel's own report names as the ones that hold it up."""
    if isinstance(log, Missing):
        return set()
    matches = (p.search(line.text) for line in log.lines for p in _NAMED)
    return {int(match[1]) for match in matches if match}

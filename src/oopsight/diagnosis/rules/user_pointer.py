"""The kernel followed a pointer of user space.

Finds
    Kernel code reads or writes through an address that a process gave it, as if it were the
    kernel's own.

Why it happens
    An ioctl's or write's argument is a user address. It must go through ``copy_from_user()`` and
    its kin; followed directly it faults under SMAP, and without SMAP it is a hole in security.

How it is decided
    The bad address is one of user space, and the crashed task's address space has memory there, or
    data flow leads to the registers with which the task entered the kernel. Of a thread of the
    kernel, a worker say, any process's address space counts. Where the pointer was kept in memory,
    whoever stored there what came from user space is blamed before who followed it, unless a
    function of the module copies through that field as from user space: then it is known for a
    process's, and who followed it directly was wrong to.

When it is wrong
    A pointer overwritten by chance can look like a user address; one that the task does not map,
    and that did not come with the system call, is left to other rules, as is one where the module
    stores numbers that it computes. What a thread of the kernel met is only *possible*, and so is
    who stored a pointer that was kept.

Example
    ``strscpy(label, (char *)argument, size)`` in an ioctl handler.

Look next
    ``vm`` of the task, ``dis`` of the handler.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    flow_culprits,
    flow_steps,
    frame_culprits,
    innocent,
    merge,
)
from oopsight.diagnosis.doers import storers_of_numbers
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import PAGE_FAULT, Fault
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.user_pointer_keepers import UserPointerKeepers


def user_pointer(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    modules: Modules | Missing,
    task: CrashedTask | Missing,
    keepers: UserPointerKeepers | Missing,
    doers: Doers | Missing,
) -> Finding | Clear:
    """Decide whether a process's pointer was followed."""
    if fault.exception != PAGE_FAULT or flow.subject != "operand" or flow.bad is None:
        return Clear("it was not a page fault through a pointer to data")
    others = flow.bad.kind == "other-user"
    if flow.bad.kind != "user" and not others:
        return Clear(f"{flow.bad.address} is not an address of user space")
    way = flow.first
    if not way.from_user and not flow.bad.mapped:
        return Clear(
            f"{flow.bad.address} looks like an address of user space, but the task has no memory "
            "there, nor is it known to have come with the system call"
        )
    if others and storers_of_numbers(doers, int(flow.bad.address)):
        return Clear(f"{flow.bad.address} may be one of the numbers that are stored there")
    steps = [fault_step(fault), *flow_steps(flow, 1)]
    who = f"{task.comm} (pid {task.pid})" if isinstance(task, CrashedTask) else "the task"
    who = "a process" if others else who
    if way.from_user and way.end is not None:
        steps.append(
            Step(f"it came with the system call of {who}", (way.end.instruction, fault.frame))
        )
    elif fault.unmapped is not None or others:
        carried = (fault.frame,) if fault.unmapped is None else (fault.unmapped,)
        steps.append(Step(f"{flow.bad.address} is {flow.bad.detail}", carried))
    if others:
        steps.append(Step("a thread of the kernel has no such address space", (fault.frame,)))
    # Who passed it on knew that it was a user's only by contract; who followed it should have, if
    # nobody kept it for later.
    followed_by = merge(
        frame_culprits(backtrace, "followed the user's pointer, or had it followed", 2),
        flow_culprits(flow, backtrace, what="the user's pointer"),
    )
    follower = blamed_first(followed_by, fault.function)
    kept_by = _kept_by(keepers)
    culprits = merge(kept_by, followed_by)
    blamed = blamed_first(culprits, fault.function)
    of_cause = Certainty.SHOWN if way.from_user else Certainty.INFERRED
    of_cause = Certainty.POSSIBLE if others else of_cause
    return Finding(
        title=f"pointer of user space followed in {fault.function}",
        summary=f"{follower} followed a pointer of {who}, {flow.bad.address}, as if it were the "
        "kernel's." + (f" {blamed} stores such pointers where it was read." if kept_by else ""),
        # Whether who kept it or who followed it was wrong, nothing in the dump says.
        certainty=Certainty.POSSIBLE if kept_by else of_cause,
        cause_certainty=of_cause if kept_by else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            f"{blamed} must copy from user space with copy_from_user() or strncpy_from_user(). "
            "Without SMAP any process could make the kernel read or write at will there.",
        ),
        refines=("wild_pointer",),
    )


def _kept_by(keepers: UserPointerKeepers | Missing) -> list[Culprit]:
    """Who stores what may be a process's pointer where it was read."""
    if isinstance(keepers, Missing):
        return []
    why = "stores what comes from user space where the pointer was read"
    return [Culprit(keepers.module, name, None, None, why) for name in keepers.functions]

"""Memory other than slab objects that was used after it was given back, for use_after_free."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import (
    fault_step,
    flow_culprits,
    flow_steps,
    frame_culprits,
    innocent,
    merge,
    track_culprits,
    track_step,
    where,
)
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.use_after_free.gone_area import GoneArea
from oopsight.evidence.use_after_free.lost_memory import LostMemory

_FEW = 2
_WHAT = {
    "free page": "a page that is free",
    "page of another": "a page that has another owner now",
    "vmalloc area": "the vmalloc range, where nothing is allocated any more",
}


def lost_memory_finding(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    lost: LostMemory,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """Tell whose memory it was, and who can have given it back."""
    steps = [fault_step(fault), *flow_steps(flow)]
    kept = f", as {lost.kept}," if lost.kept else ""
    steps.append(
        Step(
            f"the pointer that {lost.module} keeps{kept} leads to {lost.address}: "
            f"{_WHAT[lost.kind]}",
            (lost.pointer,),
        )
    )
    if lost.other and lost.other_pointer:
        steps.append(
            Step(
                f"{lost.other} has that page: its variable {lost.other_variable} points to it",
                (lost.other_pointer,),
            )
        )
    steps += [track_step(one, "the page") for one in lost.records]
    recorded = track_culprits(
        lost.record("freed"), "freed the page, after the page allocator's record"
    )
    only = len(lost.frees) == 1
    why = "the only function of the module that frees memory" if only else "can free memory"
    freers = [Culprit(lost.module, name, None, None, why) for name in lost.frees]
    followers = flow_culprits(flow, backtrace, what="the pointer to memory that was given back")
    # An area of vmalloc has no other user than who keeps a pointer to it.
    freed = only or (lost.kind == "vmalloc area" and len(freers) <= _FEW)
    culprits = merge(recorded, freers if freed else [], followers, freers)
    # Without page_owner the allocator keeps who freed a page no more than whose it was.
    sure = recorded or (lost.kind == "free page" and only)
    return Finding(
        title=f"use of memory that was given back in {fault.function}",
        summary=f"{where(fault.function, fault.module)} followed a pointer into {_WHAT[lost.kind]}"
        + (f": {lost.other}." if lost.other else "."),
        certainty=Certainty.INFERRED if len(recorded) == 1 else Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if sure else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            "Clear every pointer to the memory before it is freed, or count its users.",
            "page_owner=on, on a kernel built with it, and KASAN tell who freed it.",
        ),
        refines=refines,
    )


def gone_area_finding(
    fault: Fault,
    backtrace: Backtrace,
    area: GoneArea,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """An area of vmalloc was gone as the kernel was to copy it for a process."""
    why = "gives areas of vmalloc back"
    freers = [Culprit(area.module, name, None, None, why) for name in area.frees]
    culprits = merge(freers, frame_culprits(backtrace, "was to copy the area"))
    return Finding(
        title=f"use of memory that was given back in {fault.function}",
        summary="The kernel was to copy an area of vmalloc for a process, and there is none any "
        f"more; {area.module} gives such back.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=(
            fault_step(fault),
            Step(f"the kernel's check of the copy said: {area.line.text}", (area.line,)),
        ),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Clear every pointer to the area before it is freed, or make it anew in place.",),
        refines=refines,
    )

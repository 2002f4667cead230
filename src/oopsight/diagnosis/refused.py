"""What the allocator refused to free, where whoever handed it that has left no frame."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    frame_culprits,
    innocent,
    merge,
    where,
)
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.memory.refused_object import RefusedObject
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer


def still_known(refused: RefusedObject | Missing) -> list[Culprit]:
    """Who frees such objects and leaves them with others, who have them freed again."""
    if isinstance(refused, Missing):
        return []
    why = f"frees such objects and does not always call {refused.taken_out_by} first, as "
    why += f"{refused.freer} does: others still know them"
    return [Culprit(refused.module, name, None, None, why) for name in refused.leaves]


def refused_finding(
    fault: Fault,
    backtrace: Backtrace,
    refused: RefusedObject,
    reports: tuple[Pointer, ...],
    earlier: list[Culprit],
    modules: Modules | Missing,
) -> Finding:
    """A free object was given to the allocator, as its own check says.

    :param reports: what the allocator said of it in the log
    :param earlier: others that can have freed it before, by their code
    """
    one = refused.object
    thing = f"{one.cache} object {one.address}"
    freer = where(refused.freer, refused.module)
    second = "freed the object that was free already"
    steps = [fault_step(fault)]
    if reports:
        steps.append(Step("the allocator itself found fault with what it was given", reports))
    carried: tuple[Pointer, ...] = (one.head,) if one.head is not None else (fault.frame,)
    steps.append(Step(f"it was given {thing}, which is free already", carried))
    if refused.table is not None:
        text = f"{freer} was called through the table to which the object points, and jumped on"
        steps.append(Step(text, (refused.table,)))
    first = merge(still_known(refused), earlier)
    before = f"; {blamed_first(first, '')} may have freed it before" if first else ""
    culprits = merge(
        first,
        [Culprit(refused.module, refused.freer, None, None, second)],
        frame_culprits(backtrace, "had the object freed", 2),
    )
    return Finding(
        title=f"double free of an object of {one.cache} by {freer}",
        summary=f"{freer} freed {thing} although it was free already{before}.",
        certainty=Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            "Find where the object is freed first, and whether everybody who knows it is told; "
            "slub_debug=FPZU lets the allocator record both.",
        ),
        refines=("use_after_free", "bug_on"),
    )

"""The finding for a work item that was on its queue twice."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import fault_step, innocent, merge
from oopsight.evidence import Missing
from oopsight.evidence.corruption.requeued_work import RequeuedWork
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.modules.modules import Modules


def requeued_finding(fault: Fault, one: RequeuedWork, modules: Modules | Missing) -> Finding:
    """A worker came to a work item that belongs to no queue."""
    why = f"sets up work items of {one.handler}, whether they are queued or not"
    able = [Culprit(one.module, name, None, None, why) for name in one.functions]
    whole = Culprit(one.module, None, None, None, f"the work item is of its {one.handler}")
    culprits = merge(able, [] if able else [whole])
    steps = [
        fault_step(fault),
        Step(
            f"the work item {one.work.address} of {one.handler} [{one.module}] was on a queue, and "
            "its state says that it is on none",
            (one.memory, fault.frame),
        ),
    ]
    return Finding(
        title=f"a work item of {one.module} was on its queue twice",
        summary=f"A worker took the work item {one.work.address} of {one.handler} [{one.module}] "
        "off a queue, and it belongs to none: it was set up again, and queued a second time, while "
        "it waited.",
        certainty=Certainty.POSSIBLE,  # its memory may have been freed, and be another's
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Call INIT_WORK() once, where the object is made.",),
        refines=("null_dereference",),
    )

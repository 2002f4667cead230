"""The finding for a work item that was on its queue twice."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import fault_step, innocent, merge
from oopsight.evidence import Missing
from oopsight.evidence.corruption.requeued_work import RequeuedWork
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.modules.modules import Modules

# By whether the check of its list found it wrong.
_SIGNS = {
    False: "was on a queue, and its state says that it is on none",
    True: "is on a queue, and a neighbour leads to it to which it does not lead",
}
_MET = {
    False: "A worker took {item} off a queue, and it belongs to none",
    True: "A list check found that {item} does not lead to its neighbour any more",
}


def requeued_finding(fault: Fault, one: RequeuedWork, modules: Modules | Missing) -> Finding:
    """A work item belongs to no queue as a worker comes to it, or was put on its queue again."""
    why = f"sets up work items of {one.handler}, whether they are queued or not"
    able = [Culprit(one.module, name, None, None, why) for name in one.functions]
    whole = Culprit(one.module, None, None, None, f"the work item is of its {one.handler}")
    culprits = merge(able, [] if able else [whole])
    item = f"the work item {one.work.address} of {one.handler} [{one.module}]"
    steps = [
        fault_step(fault),
        Step(f"{item} {_SIGNS[one.listed]}", (one.memory, fault.frame)),
    ]
    return Finding(
        title=f"a work item of {one.module} was on its queue twice",
        summary=f"{_MET[one.listed].format(item=item)}: it was set up again, and queued a second "
        "time, while it waited.",
        certainty=Certainty.POSSIBLE,  # its memory may have been freed, and be another's
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Call INIT_WORK() once, where the object is made.",),
        refines=("null_dereference",),
    )

"""The finding for a list or queue that still leads to an entry on a stack."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import fault_step, flow_culprits, flow_steps, innocent, merge
from oopsight.evidence import Missing
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer
from oopsight.evidence.use_after_free.left_behind import LeftBehind


def left_on_stack_finding(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    left: LeftBehind,
    report: ListReport | Missing,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """A queue leads to an entry on a stack whose function has returned."""
    why = "puts an entry on its stack there, and can return without taking it off"
    queueing = [Culprit(left.module, name, None, None, why) for name in left.functions]
    culprits = merge(queueing, flow_culprits(flow, backtrace, what="the entry"))
    steps = [fault_step(fault), *flow_steps(flow)]
    because: tuple[Pointer, ...] = steps[-1].because
    there = "the stack of another task"
    if left.entry is not None and isinstance(report, ListReport):
        because, there = (report.text,), f"{left.entry.address} on {left.entry.detail}"
        steps.insert(1, Step(f"the list check reported: {report.text.text}", because))
    steps.append(
        Step(
            f"{left.by} leads to {there}, where other things are now: the function whose entry it "
            "was has returned without taking it off",
            because,
        )
    )
    return Finding(
        title=f"a queue entry on a stack whose function has returned, in {fault.function}",
        summary=f"{left.by} of {left.module} still leads to an entry on a stack: {there}.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Take the entry off the queue on every path out of the function.",),
        refines=refines,
    )

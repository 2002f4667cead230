"""The finding for a packet or request that a driver gave up, and left to its caller as well."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import fault_step, flow_steps, innocent
from oopsight.evidence import Missing
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.use_after_free.handed_back import PACKET, HandedBack


def who_hands_back(handed: HandedBack | Missing) -> list[Culprit]:
    """Whose handlers give up what they answer not to have taken."""
    if isinstance(handed, Missing):
        return []
    ends = (
        "frees a packet and returns NETDEV_TX_BUSY"
        if handed.what == PACKET
        else ("ends a request and returns an error")
    )
    why = f"{ends}, on the same way: then the kernel goes on with it"
    return [Culprit(handed.module, name, None, None, why) for name in handed.functions]


def handed_back_finding(
    fault: Fault,
    flow: DataFlow | Missing,
    handed: HandedBack,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """The kernel went on with what a driver had given up."""
    culprits = who_hands_back(handed)
    who = f"{handed.functions[0]} [{handed.module}]"
    steps = [fault_step(fault), *(flow_steps(flow) if isinstance(flow, DataFlow) else ())]
    steps.append(
        Step(
            f"{who} {culprits[0].why}",
            steps[-1].because,
        )
    )
    return Finding(
        title=f"a {handed.what} was used in {fault.function} that its driver had given up",
        summary=f"The kernel went on with a {handed.what} that was gone: {who} can give up one and "
        "answer that it has not taken it.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(f"Give a {handed.what} up, or answer that it was not taken: never both.",),
        refines=refines,
    )

"""What is said where no rule explains the crash: how far the analysis came, and who is suspect."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import flow_steps
from oopsight.evidence import Evidence, Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.kinds import Kind

_MOST_SUSPECTS = 3
_UNEXPLAINED = "No rule explains this crash; the steps below are how far the analysis came."
_NO_CRASH = (
    "The machine was stopped from outside: its kernel had not panicked, its log holds no crash "
    "report, and nothing in it had stood still for long."
)


def unknown(evidence: Evidence) -> Finding:
    """Say what is known without a cause; suspects are by place alone, and told so."""
    symptom, backtrace = evidence.get(Symptom), evidence.get(Backtrace)
    fault = evidence.get(Fault)
    steps: list[Step] = []
    if not isinstance(symptom, Missing) and symptom.headline is not None:
        steps.append(Step(f"the kernel reported: {symptom.title}", (symptom.headline,)))
    if not isinstance(fault, Missing):
        where = f"{fault.function} [{fault.module}]" if fault.module else fault.function
        what = f" at {fault.address}" if fault.address is not None else ""
        steps.append(
            Step(
                f"{where} met {fault.exception or 'an exception'}{what}: "
                f"{fault.instruction or 'the instruction is not in the dump'}",
                (fault.frame,),
            )
        )
    flow = evidence.get(DataFlow)
    if not isinstance(flow, Missing):
        steps.extend(flow_steps(flow))
    culprits: tuple[Culprit, ...] = ()
    if not isinstance(backtrace, Missing) and backtrace.interrupted:
        suspects = backtrace.blamable[:_MOST_SUSPECTS]
        culprits = tuple(
            Culprit(
                module=frame.module,
                function=frame.function,
                source=frame.source,
                object=None,
                why="a suspect by its place on the crash path alone"
                if number
                else "the innermost function on the crash path that does not act for any caller",
            )
            for number, frame in enumerate(suspects)
        )
        if suspects:
            steps.append(
                Step(
                    "on the crash path, the innermost function that does not act for any caller "
                    f"is {suspects[0].function}",
                    (suspects[0].pointer,),
                )
            )
    well = not isinstance(symptom, Missing) and symptom.kind is Kind.NOT_A_CRASH
    return Finding(
        title="unknown crash" if isinstance(symptom, Missing) else symptom.title,
        summary=_NO_CRASH if well else _UNEXPLAINED,
        kind=Kind.NOT_A_CRASH if well else None,
        certainty=Certainty.UNKNOWN,
        depth=Depth.SYMPTOM,
        chain=tuple(steps),
        culprits=culprits,
    )

"""An unloaded module's object in memory that another module has: for unloaded_module_pointer."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Innocent, Step
from oopsight.diagnosis.blame import fault_step, flow_steps
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.taken_over import TakenOver
from oopsight.evidence.pointers import Pointer

_REFINED = (
    "null_dereference",
    "wild_pointer",
    "bad_function_pointer",
    "user_pointer",
    "error_pointer",
    "list_corruption",
)


def taken_over_finding(fault: Fault, flow: DataFlow, taken: TakenOver, modules: Modules) -> Finding:
    """Tell that what was read is no object of the module which is there now."""
    former = taken.former
    steps = [fault_step(fault), *flow_steps(flow)]
    now = next((m.pointer for m in modules.loaded if m.name == taken.now), None)
    where = f"within its {taken.inside}" if taken.inside else "at none of its symbols"
    steps.append(
        Step(
            f"{taken.address} lies in module {taken.now}, {where}: "
            + (
                "no object of that module is there that a registry could lead to"
                if taken.sure
                else "nothing tells that it is what was looked for there"
            ),
            (*((now,) if now else ()), *steps[-1].because),
        )
    )
    gone = modules.last_unloaded_pointer
    because: list[Pointer] = list(former.description) or ([gone] if gone else [])
    names = " or ".join((former.module, *(() if former.sure else former.others)))
    steps.append(
        Step(
            f"what is left of {former.module}'s own description in a free page tells that this was "
            "its memory before"
            if former.description
            else f"{names} was unloaded before",
            tuple(because),
        )
    )
    left = f"something ({former.symbol})" if former.symbol else "something"
    function = former.exit or (former.symbol if former.function else None)
    why = f"was unloaded without taking back {left}, which is still registered"
    suspects = (former.module, *(() if former.sure else former.others))
    return Finding(
        title=f"pointer into unloaded module {names}, in whose place {taken.now} is now",
        summary=f"{names} was unloaded and left {left} registered. Its memory has gone to "
        f"{taken.now} since, so that {fault.function} read other data in its place.",
        certainty=(
            Certainty.INFERRED
            if former.description and former.sure and taken.sure
            else Certainty.POSSIBLE
        ),
        depth=Depth.ROOT_CAUSE,
        chain=tuple(step for step in steps if step.because),
        culprits=tuple(
            Culprit(name, function if name == former.module else None, None, None, why)
            for name in suspects
        ),
        innocent=(
            Innocent(taken.now, f"it merely lies where {names} had been before it was loaded"),
        ),
        advice=(
            f"Do not unload {names} on running machines until its vendor has fixed it.",
            f"Tell the vendor of {names}: its exit function leaves {left} registered.",
        ),
        refines=_REFINED,
    )

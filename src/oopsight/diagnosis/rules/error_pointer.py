"""An error code was followed as if it were a pointer.

Finds
    Code follows what a function returned, an error code in the form of a pointer (``ERR_PTR``).

Why it happens
    Many kernel functions return ``ERR_PTR(-errno)`` on failure. The caller compares with NULL or
    does not check at all, where ``IS_ERR()`` is needed.

How it is decided
    The value that came in, before members' offsets were added to it, lies within the last 4095
    addresses. Data flow tells which function returned it to whom, or where it was kept. Where it
    cannot be followed to its end, the register's own value decides, and the verdict is *inferred*.

When it is wrong
    A pointer filled with ones (memset with 0xff, a removed device's register) looks like
    ``ERR_PTR(-1)``; -1 alone is therefore only *inferred*. With a member's offset added the address
    wraps around to a small one, and the kernel speaks of a NULL pointer. Of a code that was kept in
    memory it is open who stored it without a check: the verdict is *possible*, and first named are
    those functions of the module that store there what a call returned; where it only keeps what
    other modules hand it, those that do. A function of the same module that returned it may not
    have been meant to: then the cause is shown, and who is to blame *possible*.

Example
    ``kernel_read(filp_open(path))`` where the file is not there: ``ERR_PTR(-2)``, -ENOENT.

Look next
    ``dis`` of the function that got it; the failing call's reason is the code's name.
"""

from __future__ import annotations

import errno

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    flow_culprits,
    flow_steps,
    innocent,
    merge,
    owners_first,
    where,
)
from oopsight.diagnosis.doers import keepers
from oopsight.evidence import Missing
from oopsight.evidence.address import error_number
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.handed_in import HandedIn
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer
from oopsight.plumbing import base_name


def _code(fault: Fault, flow: DataFlow | Missing) -> tuple[int, bool] | None:
    """The errno, and whether it is known to be what came in rather than what was computed.

    ``container_of(NULL, …)`` gives a small negative number too: where the data flow ends, the
    value there decides.
    """
    if isinstance(flow, DataFlow):
        end = flow.first.end
        if end is not None and end.how != "lost" and end.value is not None:
            code = error_number(end.value)
            return None if code is None else (code, True)
        values = [step.value for step in reversed(flow.first.steps)]
    else:
        values = []
    if fault.operand is not None:
        values.append(fault.operand.base_value)
    codes = [code for value in values if value is not None and (code := error_number(value))]
    return (codes[0], False) if codes else None


def error_pointer(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow | Missing,
    modules: Modules | Missing,
    doers: Doers | Missing,
    handed: HandedIn | Missing,
) -> Finding | Clear:
    """Decide whether the bad pointer is an error code."""
    if isinstance(flow, DataFlow) and flow.subject in ("argument", "index"):
        return Clear("it was not a pointer that led astray")
    found = _code(fault, flow)
    if found is None:
        return Clear("the bad pointer did not come from a value within the last 4095 addresses")
    code, followed = found
    name = f"-{errno.errorcode.get(code, code)}"
    steps = [fault_step(fault)]
    met = flow_culprits(flow, backtrace, what=f"the error code {name}")
    culprits = owners_first(met, flow, modules)
    source = ""
    if isinstance(flow, DataFlow):
        steps.extend(flow_steps(flow))
        way = flow.first
        if way.returned_by:
            source = f", which {way.returned_by} had returned to {where(way.function, way.module)},"
        elif way.name:
            source = f", which was kept in {way.name},"
    carried: tuple[Pointer, ...] = steps[-1].because or (fault.frame,)
    steps.append(Step(f"as a pointer that value is ERR_PTR(-{code}), {name}: no object", carried))
    used = blamed_first(culprits, fault.function)
    shown = followed and code != 1 and culprits == met
    # Of what was kept in memory, whoever put it there unchecked may be to blame.
    kept = isinstance(flow, DataFlow) and flow.first.ended == "loaded"
    if kept:
        storing = keepers(doers, f"the error code {name}")
        culprits = merge(storing or _handed_in(handed), culprits)
    # A function of the same module may not have been meant to return one.
    astray = _module_returns(flow)
    if astray is not None:
        culprits = merge(culprits, [astray])
    established = Certainty.SHOWN if shown else Certainty.INFERRED
    checker = blamed_first(culprits, used)
    does = "used" if checker == used else "stored"
    return Finding(
        title=f"error code {name} followed as a pointer in {fault.function}",
        summary=f"{used} used the error code {name}{source} as a pointer.",
        certainty=Certainty.POSSIBLE if kept or astray else established,
        cause_certainty=established if astray else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            f"Check with IS_ERR() in {checker} before the pointer is {does}; then find why the "
            f"call failed with {name}.",
        ),
        refines=("null_dereference", "wild_pointer", "bad_function_pointer"),
    )


def _handed_in(handed: HandedIn | Missing) -> list[Culprit]:
    """Who of another module handed it to the one that kept it."""
    if isinstance(handed, Missing):
        return []
    why = f"calls {handed.keeper}, which keeps what it is handed"
    return [Culprit(module, name, None, None, why) for module, name in handed.callers]


def _module_returns(flow: DataFlow | Missing) -> Culprit | None:
    """The function of the user's own module that returned the error code."""
    way = flow.first if isinstance(flow, DataFlow) else None
    if way is None or way.returned_by is None or way.module is None:
        return None
    if way.returner_module != way.module:
        return None
    return Culprit(way.module, base_name(way.returned_by), None, None, "returned the error code")

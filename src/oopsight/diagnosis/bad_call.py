"""A call to where no code is: what the rules for NULL and for wrong pointers share."""

from __future__ import annotations

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Undecided
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
from oopsight.diagnosis.places import chosen_by
from oopsight.evidence import Address, Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.chosen_handlers import ChosenHandler
from oopsight.evidence.modules.index_writers import IndexWriters
from oopsight.evidence.modules.modules import Modules


def _call(flow: DataFlow | Missing) -> DataFlow | None:
    return flow if isinstance(flow, DataFlow) and flow.subject == "target" else None


def target_of(fault: Fault, flow: DataFlow | Missing) -> Address | None:
    """Where the machine went, as far as known."""
    called = _call(flow)
    if called is not None and called.first.value is not None:
        return called.first.value
    return fault.pc if fault.address is not None else None


def is_null(target: Address | None) -> bool:
    """Whether the function pointer was NULL rather than wrong."""
    return target == 0


def _choosing(chosen: ChosenHandler | Missing | None) -> list[Culprit]:
    if not isinstance(chosen, ChosenHandler):
        return []
    why = f"has the kernel run {chosen.handler}, which calls what the module's table lacks"
    return [Culprit(chosen.module, name, None, None, why) for name in chosen.functions]


def _with_table(called: DataFlow, culprits: list[Culprit]) -> list[Culprit]:
    """With the module whose table has the pointer, if that is another's than called.

    It comes second: it may be right to leave a function out. But what runs any module's functions
    is not to blame for the one that is missing.
    """
    holder, name = called.first.held_in, called.first.name
    if holder is None or holder.module is None:
        return culprits
    if holder.module in {culprit.module for culprit in culprits}:
        return culprits
    refers = f"refers to its table {name}, which has the bad function pointer"
    table = f"its table {name} has the bad function pointer"
    owners = [
        Culprit(holder.module, function, None, name, refers) for function in called.installed_by
    ] or [Culprit(holder.module, None, None, name, table)]
    by_module = any(culprit.module is not None for culprit in culprits)
    return merge(culprits, owners) if by_module else merge(owners, culprits)


def bad_call(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow | Missing,
    modules: Modules | Missing,
    left_by: list[Culprit],
    chosen: ChosenHandler | Missing | None = None,
) -> Finding | Clear | Undecided:
    """Decide whether a call went to where no code is, and who made it.

    :param left_by: who can have left the pointer as it is
    :param chosen: who can have had the function of the kernel's run that called
    """
    called = _call(flow)
    if called is None and (fault.address is None or fault.address != fault.pc):
        return Clear("the machine was carrying out code")
    target = target_of(fault, flow)
    known = modules if isinstance(modules, Modules) else None
    if known and target is not None and known.in_area(target) and known.owner(target) is None:
        return Clear(f"{target} lies where modules are loaded, and none is there now")
    if called is None and not backtrace.blamable:
        return Undecided("who jumped there is not to be seen on the stack")
    steps = [fault_step(fault)]
    if called is not None:
        steps.extend(flow_steps(called))
    null = is_null(target)
    what = "NULL" if null else str(target)
    culprits = flow_culprits(flow, backtrace, what="the function pointer")
    if called is not None:
        culprits = _with_table(called, culprits)
    culprits = owners_first(culprits, flow, modules)
    # What a table of the program itself holds was put there by the program. What an object on the
    # heap holds may have been overwritten, or the object freed and given to another.
    source = called.first.held_in if called is not None else None
    meant = null or (source is not None and source.kind in ("module", "kernel"))
    # A table of functions is data: where code was read, the pointer to the table was wrong.
    meant = meant and not (called is not None and called.from_code)
    established = Certainty.INFERRED
    if called is not None:
        established = Certainty.SHOWN if meant else Certainty.POSSIBLE
    # Whoever called the kernel need not have to do with what a table lacks.
    culprits = merge(_choosing(chosen), left_by, culprits)
    # Who should have set what was kept, or chose the table, may be to blame as well as who called.
    kept_by_others = source is not None or bool(left_by) or isinstance(chosen, ChosenHandler)
    kept = f" read from {called.first.name}" if called and called.first.name else ""
    blamed = blamed_first(culprits, "the kernel")
    caller = where(called.first.function, called.first.module) if called is not None else blamed
    return Finding(
        title=f"call of a {'NULL' if null else 'bad'} function pointer by {caller}",
        summary=f"{caller} called the function pointer {what}{kept}; no code is there.",
        certainty=Certainty.POSSIBLE if kept_by_others else established,
        cause_certainty=established if kept_by_others else None,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            f"Check the pointer in {caller} before the call, or set it where the table is defined."
            if null
            else "Find what the memory that held the pointer was meant for, and who wrote to it.",
        ),
        refines=("wild_pointer",),
    )


def with_index(outcome: Finding, index: IndexWriters | Missing, *, beyond: bool) -> Finding:
    """With who told the place in the table from which the function pointer was taken.

    :param beyond: whether that place is known to be wrong
    """
    steps = list(outcome.chain)
    culprits = chosen_by(list(outcome.culprits), index, steps, beyond=beyond)
    if len(steps) == len(outcome.chain):
        return outcome
    return replace(
        outcome, certainty=Certainty.POSSIBLE, chain=tuple(steps), culprits=tuple(culprits)
    )

"""The kernel jumped to where no code is.

Finds
    A call through a pointer went to NULL, to data or to an address that is none.

Why it happens
    A table of operations lacks a function and the caller does not check, or the memory that holds
    the pointer was freed, overwritten or never set up.

How it is decided
    The address that faulted is the program counter. The return address on the stack leads to the
    call; its operand, followed back, to the memory that held the pointer. Where that is an object
    and not a table of the program, why it went bad is open, and the whole only *possible*.

When it is wrong
    Where the program counter came from a damaged stack (a return, not a call) the word on top of
    it is not the caller; that it must follow a call instruction guards against that.

Example
    ``panel->ops->flush(panel)`` where ``flush`` was left out: a jump to address 0.

Look next
    ``dis`` before the return address; the table's definition.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Undecided
from oopsight.diagnosis.blame import (
    fault_step,
    flow_culprits,
    flow_steps,
    innocent,
    merge,
    where,
)
from oopsight.evidence import Missing
from oopsight.evidence.backtrace import Backtrace
from oopsight.evidence.data_flow import DataFlow
from oopsight.evidence.fault import Fault
from oopsight.evidence.modules import Modules

_FIRST_PAGE = 4096


def bad_function_pointer(
    fault: Fault, backtrace: Backtrace, flow: DataFlow | Missing, modules: Modules | Missing
) -> Finding | Clear | Undecided:
    """Decide whether a call went to where no code is."""
    called = flow if isinstance(flow, DataFlow) and flow.subject == "target" else None
    if called is None and (fault.address is None or fault.address != fault.pc):
        return Clear("the machine was carrying out code")
    target = fault.pc if fault.address is not None else None
    if called is not None and called.first.value is not None:
        target = called.first.value
    known = modules if isinstance(modules, Modules) else None
    if known and target is not None and known.in_area(target) and known.owner(target) is None:
        return Clear(f"{target} lies where modules are loaded, and none is there now")
    if called is None and not backtrace.blamable:
        return Undecided("who jumped there is not to be seen on the stack")
    steps = [fault_step(fault)]
    if called is not None:
        steps.extend(flow_steps(called))
    null = target is not None and target < _FIRST_PAGE
    what = "NULL" if null else str(target)
    culprits = flow_culprits(flow, backtrace, what="the function pointer")
    if called is not None and called.first.held_in is not None:
        holder = called.first.held_in
        # Whose table it is comes second: it may be right to leave a function out. But what runs
        # any module's functions is not to blame for the one that is missing.
        table = f"its table {called.first.name} has the bad function pointer"
        if holder.module is not None and holder.module not in {c.module for c in culprits}:
            owners = [
                Culprit(holder.module, name, None, called.first.name, f"refers to {table}")
                for name in called.installed_by
            ] or [Culprit(holder.module, None, None, called.first.name, table)]
            by_module = any(culprit.module is not None for culprit in culprits)
            culprits = merge(culprits, owners) if by_module else merge(owners, culprits)
    # What a table of the program itself holds was put there by the program. What an object on the
    # heap holds may have been overwritten, or the object freed and given to another.
    source = called.first.held_in if called is not None else None
    meant = null or (source is not None and source.kind in ("module", "kernel"))
    certainty = Certainty.INFERRED
    if called is not None:
        certainty = Certainty.SHOWN if meant else Certainty.POSSIBLE
    kept = f" read from {called.first.name}" if called and called.first.name else ""
    blamed = where(culprits[0].function or "", culprits[0].module) if culprits else "the kernel"
    return Finding(
        title=f"call of a {'NULL' if null else 'bad'} function pointer by {blamed}",
        summary=f"{blamed} called the function pointer {what}{kept}; no code is there.",
        certainty=certainty,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            f"Check the pointer in {blamed} before the call, or set it where the table is defined."
            if null
            else "Find what the memory that held the pointer was meant for, and who wrote to it.",
        ),
        refines=("null_dereference", "wild_pointer"),
    )

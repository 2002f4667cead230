"""A NULL pointer to a struct was followed.

Finds
    Code reads or writes a member of an object through a pointer that is NULL.

Why it happens
    A lookup's or allocation's failure is not checked, or an object is used before it is set up or
    after it is torn down.

How it is decided
    A page fault at an address within the first page; the faulting instruction's memory operand
    takes its base from a register that holds zero, and base plus displacement is the address.

When it is wrong
    The pointer may have been overwritten with zeros rather than never set; the register tells not
    which. The blamed function is the one that followed the pointer; its caller may have passed it.

Example
    ``cmp dword ptr [rdi + 0x38], esi`` with ``rdi`` = 0: the member at offset 56.

Look next
    ``dis -l`` of the function, for where the register was loaded.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step
from oopsight.evidence import Missing
from oopsight.evidence.backtrace import Backtrace
from oopsight.evidence.fault import PAGE_FAULT, Fault
from oopsight.evidence.modules import Modules
from oopsight.evidence.pointers import Pointer

_FIRST_PAGE = 4096


def null_dereference(
    fault: Fault, backtrace: Backtrace, modules: Modules | Missing
) -> Finding | Clear:
    """Decide whether a NULL pointer was followed."""
    if fault.exception != PAGE_FAULT or fault.address is None:
        return Clear("it was not a page fault")
    if fault.address >= _FIRST_PAGE:
        return Clear(f"the address {fault.address} is not within the first page")
    if fault.access == "execute":
        return Clear("a function pointer was NULL, not a pointer to data")
    operand = fault.operand
    if operand is None or operand.base is None or operand.base_value != 0:
        return Clear("the instruction's base register does not hold zero")
    if operand.address != fault.address:
        return Clear("the instruction's operand does not come to the address that faulted")
    where = f"{fault.function} [{fault.module}]" if fault.module else fault.function
    offset = f"offset {operand.displacement:#x} ({operand.displacement})"
    frame = next((f for f in backtrace.frames if f.index == fault.frame.index), None)
    because: list[Pointer] = [fault.frame]
    if fault.unmapped:
        because.append(fault.unmapped)
    steps = [
        Step(
            f"{where} tried to {fault.access or 'access'} address {fault.address}: "
            f"{fault.instruction} with {operand.base} = 0",
            tuple(because),
        ),
        Step(
            f"{operand.base} should point to an object, of which the member at {offset} was "
            "wanted: the pointer is NULL",
            (fault.frame,),
        ),
    ]
    callers = [f for f in backtrace.crash_path if f.index > fault.frame.index and not f.inline]
    if callers:
        steps.append(Step(f"it was called by {callers[0].function}", (callers[0].pointer,)))
    owner = modules.owner(fault.pc) if isinstance(modules, Modules) else None
    if owner:
        steps.append(Step(f"the code belongs to module {owner.name}", (owner.pointer,)))
    suspects = [fault.function]
    if callers and callers[0].module == fault.module:
        suspects.append(callers[0].function)
    return Finding(
        title=f"NULL pointer dereference in {fault.function}",
        summary=f"{where} followed a NULL pointer to the member at {offset}.",
        certainty=Certainty.SHOWN,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=tuple(
            Culprit(
                module=fault.module,
                function=name,
                source=frame.source if frame and name == fault.function else None,
                object=None,
                why="followed the NULL pointer" if name == fault.function else "passed it on",
            )
            for name in suspects
        ),
        advice=(
            f"Find in {where} and its callers who leaves the pointer NULL, and check it there.",
        ),
    )

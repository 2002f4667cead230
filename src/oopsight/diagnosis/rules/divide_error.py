"""A division by zero.

Finds
    A ``div`` or ``idiv`` instruction whose divisor is zero.

Why it happens
    A setting, a counter or a measured interval is used as a divisor without a check for zero.

How it is decided
    The exception is a divide error, the faulting instruction divides, and the register it divides
    by holds zero. An overflow of the quotient raises the same exception; then the divisor is not
    zero, and that is said.

When it is wrong
    The function that divides may have been handed the zero; its callers of the same module are
    named after it. Where it read the divisor from memory to which other functions of the module
    write, these come first: one of them let the zero in. Who refuses zero comes last of them; so
    does who sets another number, behind who leaves the divisor alone and else does as that one
    does, or makes such an object without it. Where one of them sets zero on purpose, others that do
    not set it ask whether it is zero, or the divisor is the difference of two numbers, who divides
    stays first; but not before who undoes what else was done as it was set to zero. In each of
    these cases, and wherever the divisor lay in memory, only the cause is shown, and who is to
    blame is *possible*.

Example
    ``div ecx`` with ``rcx`` = 0 in ``shape_per_second()``, called by the timer's ``shape_tick()``.

Look next
    ``dis -l`` of the function, for where the divisor comes from.
"""

from __future__ import annotations

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.diagnosis.places import (
    culprits,
    state_culprits,
    state_step,
    suspects,
    title_of,
    wrote_state,
)
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import DIVIDE_ERROR, Fault
from oopsight.evidence.flow.checked_value import CheckedValue
from oopsight.evidence.modules.prints import Prints
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.pointers import Pointer, RegisterPointer

_WHOLE = {"cx": "rcx", "bx": "rbx", "si": "rsi", "di": "rdi", "bp": "rbp", "ax": "rax", "dx": "rdx"}


def divide_error(
    fault: Fault,
    backtrace: Backtrace,
    checked: CheckedValue | Missing,
    writers: StateWriters | Missing,
    prints: Prints | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether something was divided by zero."""
    if fault.exception != DIVIDE_ERROR:
        return Clear("it was not a divide error")
    blamed = suspects(backtrace)
    if not blamed:
        return Undecided("no function on the crash path can be to blame")
    because: list[Pointer] = [fault.frame]
    name, divisor = _divisor(fault, backtrace)
    if name is not None and divisor is not None:
        register = backtrace.register(_whole(name))
        because += [RegisterPointer(_whole(name), register)] if register is not None else []
        what = f"{name} = {divisor}" if divisor else f"{name} = 0"
    else:
        what = "the divisor lies in memory"
    steps = [
        Step(
            f"{title_of(blamed[0]) if blamed[0].index == fault.frame.index else fault.function} "
            f"carried out {fault.instruction or 'a division'}: {what}",
            tuple(because),
        )
    ]
    if blamed[0].index != fault.frame.index:
        steps.append(Step(f"it was called for {title_of(blamed[0])}", (blamed[0].pointer,)))
    if len(blamed) > 1:
        steps.append(Step(f"it was called by {title_of(blamed[1])}", (blamed[1].pointer,)))
    zero = divisor == 0
    found = culprits(blamed, "divides without a check for zero", others="handed it on")
    established = Certainty.SHOWN if zero else Certainty.INFERRED
    # Who left zero in memory, or handed it on, may be to blame as well as who did not look.
    others = isinstance(checked, CheckedValue) or len(blamed) > 1
    state = wrote_state(writers, blamed)
    if state is not None:
        steps.append(state_step(state))
        # Where zero is a value like others, who divides has to look out for it.
        usual = ((state.zeroes or state.asked) and not state.undoing) or (
            isinstance(checked, CheckedValue) and checked.difference
        )
        found = state_culprits(replace(state, alone=state.alone and not usual), found, prints)
    return Finding(
        title=f"division by zero in {title_of(blamed[0])}",
        summary=f"{title_of(blamed[0])} divided by zero."
        if zero
        else f"a division in {title_of(blamed[0])} has no result that fits.",
        certainty=Certainty.POSSIBLE if others else established,
        cause_certainty=established if others else None,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=found,
        advice=("Refuse zero where the value is set, or check it before the division.",),
    )


def _divisor(fault: Fault, backtrace: Backtrace) -> tuple[str | None, int | None]:
    """The register that is divided by, and its value in its width."""
    mnemonic, _, operand = (fault.instruction or "").partition(" ")
    if mnemonic not in ("div", "idiv") or "[" in operand:
        return None, None
    value = backtrace.register(_whole(operand))
    if value is None:
        return operand, None
    bits = 32 if operand.startswith("e") or operand.endswith("d") else 64
    bits = 16 if operand in _WHOLE or operand.endswith("w") else bits
    return operand, value & ((1 << bits) - 1)


def _whole(register: str) -> str:
    """The 64-bit register that a register is part of.

    >>> _whole("ecx"), _whole("r8d"), _whole("rsi"), _whole("cx")
    ('rcx', 'r8', 'rsi', 'rcx')
    """
    if register in _WHOLE:
        return _WHOLE[register]
    if register.startswith("e"):
        return "r" + register[1:]
    return register.rstrip("dwb") if register[1:2].isdigit() else register

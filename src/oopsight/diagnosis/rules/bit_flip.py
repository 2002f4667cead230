"""One bit of a pointer, or of the code, was wrong.

Finds
    A pointer that is no address, and would be the right one if a single bit were turned; a call
    that names its function, and leads to where none is.

Why it happens
    Memory, a cache or a bus is defective; more rarely, code sets a bit in a word that it takes for
    a mask of its own.

How it is decided
    The bad value differs in one bit from what the memory holds that it was read from, from what
    several objects beside it hold at the same offset, from an address within the very object that
    holds it, or from the address of a list entry that points back to it. Or exactly one bit leads
    to a live object of the cache that several other objects point into at the same offset. Failing
    these, exactly one bit leads to any memory at all, and there to the very beginning of an
    allocated object: that alone makes it *possible* only. A call instruction that holds the
    distance to its function reads no pointer: if it leads to no code, and with one bit turned to a
    function's beginning, the code was changed.

When it is wrong
    Software that turns a bit leaves the same trace; that is looked at only where the module's code
    has an instruction that does so by a number, which can lead to the very pointer. A single crash
    never convicts the hardware: look for others on this machine, with other values and in other
    places.

Example
    ``0xfff7888003400000``, where the next object holds ``0xffff888003400000``: bit 51.

Look next
    Logs of corrected memory errors (EDAC, mcelog), other crashes of this machine, a memory test.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided, absent
from oopsight.diagnosis.blame import fault_step, flow_steps
from oopsight.evidence import Missing
from oopsight.evidence.corruption.bit_flip import BitFlip
from oopsight.evidence.corruption.flipped_call import FlippedCall
from oopsight.evidence.corruption.stray_stores import StrayStores
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow


def bit_flip(
    fault: Fault,
    flow: DataFlow | Missing,
    flip: BitFlip | Missing,
    call: FlippedCall | Missing,
    strays: StrayStores | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether a single bit is wrong."""
    if isinstance(call, FlippedCall) and call.intended:
        return _in_code(fault, call)
    if isinstance(flow, Missing):
        return absent(flow)
    if isinstance(flip, Missing):
        return Clear(flip.detail)
    turning = [one for one in strays.stores if one.bits] if isinstance(strays, StrayStores) else []
    if turning:
        return Clear(f"{turning[0].function} sets or clears bits, and may have turned this one")
    steps = [fault_step(fault), *flow_steps(flow, 1)]
    steps.append(
        Step(
            f"bit {flip.bit} of {flip.value} turned gives {flip.intended.address}: "
            f"{flip.intended.detail}; {flip.text}",
            flip.memory,
        )
    )
    strong = flip.reason != "only"
    thing = flow.first.name or f"the pointer read by {flow.first.function}"
    return Finding(
        title=f"one bit of a pointer is wrong in {fault.function}",
        summary=f"Bit {flip.bit} of {thing} was turned: {flip.value} instead of "
        f"{flip.intended.address}. The hardware is under suspicion.",
        certainty=Certainty.INFERRED if strong else Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=(
            Culprit(None, None, None, "memory hardware", "a single bit of a pointer is wrong"),
        ),
        advice=(
            "Look for corrected memory errors and for other crashes of this machine; test its "
            "memory before software is blamed.",
        ),
        refines=("wild_pointer",),
    )


def _in_code(fault: Fault, call: FlippedCall) -> Finding:
    """An instruction was changed."""
    what = " or ".join(f"{name} (bit {bit})" for bit, name in call.intended)
    return Finding(
        title=f"one bit of the code of {call.caller} is wrong",
        summary=f"A call in {call.caller} leads to {call.target}, where no code is, and with one "
        f"bit turned to {what}. The hardware is under suspicion.",
        certainty=Certainty.INFERRED,
        depth=Depth.ROOT_CAUSE,
        chain=(
            fault_step(fault),
            Step(
                f"a call in {call.caller} led there, which names its function and reads no "
                "pointer: the code has been changed",
                (call.code,),
            ),
            Step(f"with a single bit of it turned it calls {what}", (call.code,)),
        ),
        culprits=(Culprit(None, None, None, "memory hardware", "a single bit of code is wrong"),),
        advice=(
            "Look for corrected memory errors and for other crashes of this machine; test its "
            "memory before software is blamed.",
        ),
        refines=("wild_pointer", "bad_function_pointer", "module_area_pointer", "user_pointer"),
    )

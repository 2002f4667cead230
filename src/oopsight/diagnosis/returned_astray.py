"""A return address that was written over behind the canary: for stack_corruption."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import blamed_first, fault_step, innocent
from oopsight.evidence import Missing
from oopsight.evidence.corruption.bad_return import BadReturn
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.modules.modules import Modules

_MOST_SUSPECTS = 3


def returned_astray(fault: Fault, astray: BadReturn, modules: Modules | Missing) -> Finding:
    """A return address was written over."""
    steps = [
        fault_step(fault),
        Step(
            "no call led there, as it would have left an address to return to on top of the stack: "
            "it was a return, and the return address had been written over",
            (astray.top,),
        ),
    ]
    text = as_text(fault.pc)
    if text is not None:
        steps.append(Step(f"as characters, the address is {text!r}", (fault.frame,)))
    suspects = tuple(
        Culprit(
            one.module,
            one.function,
            None,
            None,
            f"can have returned there: {one.caller}, where it calls it, has a frame of just the "
            "size of what is there"
            + (", and its call has been on this stack before" if one.seen else ""),
        )
        for one in astray.returners[:_MOST_SUSPECTS]
    )
    who = blamed_first(suspects, "a function")
    return Finding(
        title=f"return to {fault.pc}, where no code is, from {who}",
        summary=f"The return address of {who} was written over on the stack.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=suspects,
        innocent=innocent(modules, suspects),
        advice=(f"Check what is written to the arrays on the stack of {who}, and their indices.",),
        refines=("wild_pointer", "bad_function_pointer", "user_pointer"),
    )


def as_text(value: int) -> str | None:
    """The word as characters, where all of them can be read.

    >>> as_text(0x30322D45524F4645)
    'EFORE-20'
    >>> as_text(0xFFFFFFFF81000000) is None
    True
    """
    raw = value.to_bytes(8, "little").rstrip(b"\0")
    return raw.decode("ascii") if len(raw) >= 4 and all(32 <= b < 127 for b in raw) else None

"""A non-maskable interrupt that the machine panics on.

Finds
    An NMI from outside: a button, a management controller's, a hypervisor's, an error line's.

Why it happens
    Somebody asked for a dump of a machine that hangs, or a device reported an uncorrectable error.

How it is decided
    The panic was called in the NMI handler for an NMI without a known source, a memory parity or an
    I/O check error, which the setting panics on. What the CPU was doing is not the reason.

When it is wrong
    Who sends an NMI mostly sees a machine that hangs: look what the CPUs were doing.

Example
    ``Uhhuh. NMI received for unknown reason 31 on CPU 0.`` with ``unknown_nmi_panic`` set.

Look next
    ``bt -a``; the management controller's log.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.log import Log

_REASONS = {
    "NMI received for unknown reason": "an NMI whose source the kernel does not know",
    "NMI: PCI system error": "a system error line of the PCI bus (SERR)",
    "NMI: IOCK error": "an I/O check error line (IOCK)",
    "NMI: memory parity error": "a memory parity error",
}
_PANICS = ("NMI: Not continuing", "NMI IOCK error: Not continuing", "NMI: IOCK error")


def nmi(log: Log | Missing, backtrace: Backtrace | Missing) -> Finding | Clear | Undecided:
    """Decide whether an NMI from outside brought the machine down."""
    if isinstance(log, Missing):
        return Undecided(log.detail)
    panic = next(
        (x for x in log.lines if "Kernel panic" in x.text and any(m in x.text for m in _PANICS)),
        None,
    )
    if panic is None:
        return Clear("no NMI brought the machine down")
    line = log.find(*_REASONS)
    what = next((t for m, t in _REASONS.items() if line is not None and m in line.text), "an NMI")
    steps = [
        Step(
            f"the kernel received {what}, on which it is set to panic",
            (*((line,) if line is not None else ()), panic),
        )
    ]
    if isinstance(backtrace, Backtrace) and backtrace.fault is not None:
        steps.append(Step(f"it interrupted {backtrace.fault.function}", (backtrace.fault.pointer,)))
    return Finding(
        title=f"panic on {what}",
        summary=f"The machine received {what} and is set to panic on it.",
        certainty=Certainty.SHOWN,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        advice=("Find out who sent it: the management controller, the hypervisor, a person.",),
        refines=("panic_called",),
    )

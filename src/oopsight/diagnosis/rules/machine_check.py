"""The processor reported a hardware error.

Finds
    A fatal machine check: memory, cache, bus or the processor itself.

Why it happens
    Failing memory, overheating, a defective processor or board. Software does not cause it.

How it is decided
    The panic is that of the machine check handler, or the crash was the machine check exception;
    the banks' lines in the log say what the hardware saw.

When it is wrong
    Virtual machines can be given machine checks by their host, for the host's memory errors.

Example
    ``mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 4: b200000000070f0f``.

Look next
    The management controller's event log; ``mcelog --ascii`` on the lines of the log.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.log import Log
from oopsight.evidence.pointers import Pointer

_PANIC = (
    "Fatal machine check",
    "Fatal local machine check",
    "Machine check:",
    "Timeout: Not all CPUs entered broadcast",
)
_HARDWARE = ("[Hardware Error]:", "Machine Check Exception")
_HANDLERS = ("do_machine_check", "mce_panic", "exc_machine_check")
_MOST_LINES = 8


def machine_check(log: Log | Missing, backtrace: Backtrace | Missing) -> Finding | Clear:
    """Decide whether the hardware gave up."""
    panic = None
    lines: list[Pointer] = []
    if isinstance(log, Log):
        panic = next(
            (x for x in log.lines if "Kernel panic" in x.text and any(m in x.text for m in _PANIC)),
            None,
        )
        lines += [x for x in log.lines if any(m in x.text for m in _HARDWARE)][:_MOST_LINES]
    handler = None
    if isinstance(backtrace, Backtrace):
        names = {f.function: f for f in backtrace.frames}
        handler = next((names[n] for n in _HANDLERS if n in names), None)
        if backtrace.exception == "machine_check" and handler is None:
            handler = backtrace.fault
    if panic is None and handler is None:
        return Clear("no machine check brought the machine down")
    because: list[Pointer] = [*((panic,) if panic is not None else ())]
    because += [handler.pointer] if handler is not None else []
    steps = [Step("the machine check handler stopped the machine", tuple(because))]
    if lines:
        steps.append(Step("the processor reported", tuple(lines)))
    return Finding(
        title="fatal machine check",
        summary="The processor reported a hardware error from which it could not go on.",
        certainty=Certainty.SHOWN,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=(
            Culprit(None, None, None, "hardware", "the processor reported the error itself"),
        ),
        advice=("Have the hardware checked: memory first; decode the banks with mcelog.",),
        refines=("panic_called",),
    )

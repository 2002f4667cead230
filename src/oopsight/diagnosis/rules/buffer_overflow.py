"""A copy or an index went past the end of a buffer, and the kernel's own check saw it.

Finds
    FORTIFY_SOURCE, usercopy or UBSAN stopped an access past the bounds of an array, a field or an
    object.

Why it happens
    A length comes from the user, from a file or from a device, and is not compared with the room
    that there is; a loop goes one too far.

How it is decided
    The check's own words are in the log: what was to be copied, and how much room there is. It is
    made before the access, so that whoever called the checked function is to blame; the check and
    the copying function serve all. Machine code tells where the length came from. Where the call
    of the module brought it, as a user's does, the function that did not compare it is to blame.
    Where it was read from a field, those functions of the module come first that write there.

When it is wrong
    A length that a function's caller in its module made, that lay in memory, or that was not
    followed back may be another's mistake: then only the cause is sure, and who is to blame is
    *possible*: who writes to the field that the length was read from, or makes what has that. A
    "field-spanning write" can be meant, where a structure's further members are filled by the same
    copy; only with ``panic_on_warn`` does it stop anything.

Example
    ``bcn_set_ssid()`` copies 80 bytes from the user into ``ssid``, which has 32.

Look next
    ``dis`` of the function named; where its length comes from.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided
from oopsight.diagnosis.blame import merge
from oopsight.diagnosis.places import (
    culprits,
    state_culprits,
    state_step,
    suspects,
    title_of,
    wrote_state,
)
from oopsight.evidence import Missing
from oopsight.evidence.corruption.bounds_length import BoundsLength
from oopsight.evidence.corruption.bounds_report import BoundsReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.modules.prints import Prints


def buffer_overflow(
    report: BoundsReport | Missing,
    backtrace: Backtrace,
    length: BoundsLength | Missing,
    prints: Prints | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether a check of bounds stopped the machine, and for whom it was made."""
    if isinstance(report, Missing):
        return Clear(report.detail)
    blamed = suspects(backtrace)
    if not blamed:
        return Undecided("no function on the crash path can be to blame")
    who = title_of(blamed[0])
    # What the kernel's own code did for a module may be its mistake as well.
    direct = next(f for f in backtrace.blamable if not f.inline).index == blamed[0].index
    established = Certainty.INFERRED if direct and not report.no_end else Certainty.POSSIBLE
    brought = isinstance(length, BoundsLength) and length.brought
    steps = [
        Step(f"{report.checker} reported: {report.words}", (report.text,)),
        Step(f"the check was made for {who}", (blamed[0].pointer,)),
    ]
    found = culprits(blamed, f"its access is too long: {report.words}", thing=report.what)
    state = length.state if isinstance(length, BoundsLength) else None
    if state is not None and wrote_state(state, blamed) is not None:
        steps.append(state_step(state))
        why = f"makes what has {state.way.name or 'the field'}, and sets that"
        makers = [Culprit(state.module, name, None, None, why) for name in state.makers]
        written = state_culprits(state, (), prints)
        found = tuple(
            merge(written, makers, found) if state.alone else merge(found, written, makers)
        )
    return Finding(
        title=f"buffer overflow in {who}, stopped by {report.checker}",
        summary=f"{who} went past the end of a buffer: {report.words}.",
        certainty=established if brought else Certainty.POSSIBLE,
        cause_certainty=None if brought else established,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=found,
        advice=("Compare the length with the room that there is before the copy.",),
        refines=("bug_on", "warning", "panic_called"),
    )

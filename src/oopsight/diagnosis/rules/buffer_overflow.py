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
    the copying function serve all.

When it is wrong
    The length may be a caller's mistake. A "field-spanning write" can be meant, where a structure's
    further members are filled by the same copy; only with ``panic_on_warn`` does it stop anything.

Example
    ``bcn_set_ssid()`` copies 80 bytes from the user into ``ssid``, which has 32.

Look next
    ``dis`` of the function named; where its length comes from.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.diagnosis.places import culprits, suspects, title_of
from oopsight.evidence import Missing
from oopsight.evidence.corruption.bounds_report import BoundsReport
from oopsight.evidence.crash.backtrace import Backtrace


def buffer_overflow(
    report: BoundsReport | Missing, backtrace: Backtrace
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
    return Finding(
        title=f"buffer overflow in {who}, stopped by {report.checker}",
        summary=f"{who} went past the end of a buffer: {report.words}.",
        certainty=Certainty.INFERRED if direct and not report.no_end else Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=(
            Step(f"{report.checker} reported: {report.words}", (report.text,)),
            Step(f"the check was made for {who}", (blamed[0].pointer,)),
        ),
        culprits=culprits(blamed, f"its access is too long: {report.words}", thing=report.what),
        advice=("Compare the length with the room that there is before the copy.",),
        refines=("bug_on", "warning", "panic_called"),
    )

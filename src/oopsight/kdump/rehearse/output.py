"""A rehearsal's result for people and for programs."""

from __future__ import annotations

import json

from oopsight.kdump.cmdline import MiB
from oopsight.kdump.rehearse import Outcome, Rehearsal

ROUND = 32 * MiB
VERDICTS = {
    Outcome.SAVED: "a crash would leave a dump",
    Outcome.TIGHT: "a dump was written, but memory ran short on the way",
    Outcome.NO_MEMORY: "a crash would leave no dump: the capture kernel ran out of memory",
    Outcome.NOT_RESERVED: "a crash would leave no dump: no memory could be set aside",
    Outcome.NOT_LOADED: "a crash would leave no dump: the capture kernel cannot be loaded",
    Outcome.FAILED: "a crash would leave no dump",
    Outcome.NO_END: "the rehearsal came to no end",
}
# As of kdump status: 0 ok, 1 warning, 2 no dump, 3 unknown.
EXIT = {Outcome.SAVED: 0, Outcome.TIGHT: 1, Outcome.NO_END: 3}


def exit_code(result: Rehearsal) -> int:
    """0 if the dump was written, 1 if barely, 2 if not, 3 if that is not known."""
    if result.outcome is Outcome.SAVED and not result.suffices:
        return 1
    return EXIT.get(result.outcome, 2)


def to_text(result: Rehearsal) -> str:
    """A few lines."""
    lines = [VERDICTS[result.outcome], f"  shown by: {result.message}"]
    lines.append(f"  reserved: {result.reserved // MiB} MiB")
    if result.used is not None:
        lines.append(f"  used at most: {result.used // MiB} MiB, as far as the kernel was asked")
    more = ((result.needed or 0) - (result.used or 0)) // MiB
    if more > 0:
        lines.append(f"  and about {more} MiB more for the whole RAM of this host, an estimate")
    if result.seconds:
        lines.append(f"  took: {result.seconds:.0f} s from the crash to the end")
    if result.outcome is Outcome.SAVED and not result.suffices:
        lines.append(f"  but with all of the RAM it is too little: give it {_advice(result)} MiB")
    elif result.outcome in {Outcome.TIGHT, Outcome.NO_MEMORY}:
        lines.append(f"  next: oopsight kdump setup --memory {_advice(result)}M")
    return "\n".join(lines) + "\n"


def to_json(result: Rehearsal) -> str:
    """``{"version": 1, "suffices": …, "outcome": …, "message", sizes in bytes, "seconds"}``."""
    data = {
        "version": 1,
        "suffices": result.suffices,
        "outcome": result.outcome.name.lower().replace("_", "-"),
        "message": result.message,
        "reserved": result.reserved,
        "used": result.used,
        "needed": result.needed,
        "seconds": round(result.seconds, 1),
    }
    return json.dumps(data, indent=2) + "\n"


def _advice(result: Rehearsal) -> int:
    """A size to try next, MiB: what was needed or what was there, and a good step more."""
    known = max(result.needed or 0, result.reserved)
    return (known + ROUND // 2) // ROUND * ROUND // MiB + 2 * ROUND // MiB

"""Tasks of which the code tells who should have ended their wait, and did not.

Such a wait is the cause of what hangs behind the task, and not the lock that it holds meanwhile.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.hangs.counted_wait import CountedWaits
from oopsight.evidence.hangs.missed_wake import MissedWakes
from oopsight.evidence.hangs.omitted_signals import OmittedSignals
from oopsight.evidence.hangs.skipped_parts import SkippedParts
from oopsight.evidence.hangs.waiting import Wait, Waits

_KINDS = ("completion", "event")


@dataclass(frozen=True)
class Unended:
    """Those tasks."""

    tasks: tuple[Address, ...]


def collect(
    waits: Waits | Missing,
    counted: CountedWaits | Missing,
    missed: MissedWakes | Missing,
    omitted: OmittedSignals | Missing,
    parts: SkippedParts | Missing,
) -> Unended | Missing:
    """Ask of each that waits for what nobody is known to bring."""
    if isinstance(waits, Missing):
        return Missing(Why.NOT_APPLICABLE, "no task waits")
    known: set[int] = set()
    if isinstance(missed, MissedWakes):
        known |= {int(one.task.address) for one in missed.wakes}
    if isinstance(omitted, OmittedSignals):
        known |= {int(one.task.address) for one in omitted.found if one.seen}
    if isinstance(counted, CountedWaits):
        known |= {int(one.task.address) for one in counted.waits if one.drops or one.parks}
    asked = [one for one in waits.victims if _asked(one)]
    found = [one for one in asked if int(one.task.address) in known or _left_out(one, parts)]
    return Unended(tuple(one.task.address for one in found))


def _asked(wait: Wait) -> bool:
    return wait.lock is not None and wait.lock.kind in _KINDS and not wait.lock.holders


def _left_out(wait: Wait, parts: SkippedParts | Missing) -> bool:
    module = wait.call.module if wait.call is not None else None
    return isinstance(parts, SkippedParts) and module is not None and bool(parts.of(module))

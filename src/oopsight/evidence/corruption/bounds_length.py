"""Where the length, or the index, that a check of bounds found too large came from.

The check is made in the function that copies. The length may be a number that another function left
in memory, or a caller's.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.bounds_report import BoundsReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.checked_value import is_kept, operand_ways, tested_before
from oopsight.evidence.flow.follower import Follower
from oopsight.evidence.flow.frames import calls
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.ways import Namer, Way
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.state_writers import StateWriters, writers_of
from oopsight.session import Session

_LENGTHS = {
    "__check_object_size": "rsi",  # (const void *ptr, unsigned long n, bool to_user)
    "__copy_overflow": "rsi",  # (int size, unsigned long count)
    "__ubsan_handle_out_of_bounds": "rsi",  # (void *data, void *index)
    "__fortify_panic": "rdx",  # (const u8 reason, const size_t avail, const size_t size)
}
"""The argument that tells the length, by the function that checks it."""
_COMPARED = ("fortify_panic",)
"""Told nothing: what was compared just before the call is the length."""
_DEEPEST = 2


@dataclass(frozen=True)
class BoundsLength:
    """The number that was too large, as far back as it could be followed."""

    module: str
    function: str
    """The innermost of a module's functions, which had the check made."""
    way: Way
    state: StateWriters | None
    """Who else writes to the field that it was read from."""

    @property
    def brought(self) -> bool:
        """Whether it came with the call, from whoever called the module."""
        if self.way.from_user:
            return True
        last = self.way.steps[-1] if self.way.steps else None
        return last is not None and last.module != self.module and not self.way.held_in


def collect(
    session: Session, report: BoundsReport, backtrace: Backtrace, modules: Modules
) -> BoundsLength | Missing:
    """Follow the number back from the call of the check."""
    nothing = Missing(Why.NOT_APPLICABLE, f"the length that {report.checker} saw was not followed")
    frame = next((one for one in backtrace.blamable if not one.inline), None)
    if frame is None or frame.module is None:
        return nothing
    found = calls(session, backtrace, None)
    position = next((n for n, one in enumerate(found.frames) if one.index == frame.index), None)
    context = None if position is None else found.context(position)
    if context is None:
        return nothing
    follower = Follower(session, Namer(session, modules, backtrace), found)
    ways = _ways(follower, context)
    states = [writers_of(session, way, modules) for way in ways if _is_read(way)]
    state = next((one for one in states if one is not None), None)
    if state is not None:
        return BoundsLength(frame.module, frame.function, state.way, state)
    if not ways:
        return nothing
    return BoundsLength(frame.module, frame.function, ways[0], None)


def _is_read(way: Way) -> bool:
    return way.ended == "loaded" and is_kept(way)


def _ways(follower: Follower, context: Context) -> list[Way]:
    """The ways of what the call of the check was told, or of what was compared before it."""
    target = follower.calls.target_of(context)
    symbol = None if target is None else follower.calls.reader.function(target)
    name = symbol[0] if symbol is not None else ""
    register = _LENGTHS.get(name)
    if register is not None:
        value = follower.calls.tracer.value(context, register, context.at)
        return [*follower.ways(context, register, value)[:1]]
    at = tested_before(context) if name in _COMPARED else None
    if at is None:
        return []
    return [way for way, _ in operand_ways(follower, context, at, _DEEPEST)]

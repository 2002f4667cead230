"""The number by which something was looked up and not found, where that was kept in memory.

``xa_load(&berths, pilot->berth)``: what the number meant may have been taken away meanwhile, and
the number left.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.checked_value import is_kept
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.follower import Follower
from oopsight.evidence.flow.frames import calls, place_of
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.ways import Namer, Way
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.state_writers import StateWriters, writers_of
from oopsight.kernel.addresses import in_kernel_half
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.session import Session

_MOST_ARGUMENTS = 3


@dataclass(frozen=True)
class LookupKey:
    """The number, who writes to it, and who leaves it."""

    called: str
    """What looked it up."""
    state: StateWriters


def collect(
    session: Session, flow: DataFlow, backtrace: Backtrace, modules: Modules
) -> LookupKey | Missing:
    """Follow what the call was given that returned NULL."""
    way = flow.first
    end = way.end
    if way.ended != "returned" or way.returned_by is None or end is None or end.value != 0:
        return Missing(Why.NOT_APPLICABLE, "no call returned NULL")
    found = calls(session, backtrace, None)
    place = place_of(found, end)
    if place is None:
        return Missing(Why.NOT_APPLICABLE, "the call is not seen")
    follower = Follower(session, Namer(session, modules, backtrace), found)
    for key in _numbers(follower, *place):
        state = writers_of(session, key, modules)
        if state is not None:
            return LookupKey(way.returned_by, state)
    return Missing(Why.NOT_APPLICABLE, "it was given no number that others set")


def _numbers(follower: Follower, context: Context, at: int) -> Iterator[Way]:
    """Numbers that a call was given and that were kept in memory, as they are there now."""
    for register in ARGUMENTS[:_MOST_ARGUMENTS]:
        for way in follower.ways(context, register, None, at)[:1]:
            end = way.end
            if way.ended != "loaded" or not is_kept(way) or end is None or end.memory is None:
                continue
            number = Address(int.from_bytes(bytes.fromhex(end.memory.bytes), "little"))
            if number and not in_kernel_half(number):
                known = replace(end, value=number)
                yield replace(way, value=number, steps=(*way.steps[:-1], known))

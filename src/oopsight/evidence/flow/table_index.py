"""The number by which a bad pointer was chosen from a table, where that was kept in memory.

Whoever uses an index has mostly not made it: it was read from a field that others set.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.checked_value import is_kept
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.follower import Follower
from oopsight.evidence.flow.frames import calls, place_of
from oopsight.evidence.flow.instructions import Memory
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.ways import Namer, Way
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session

_ELEMENT = re.compile(r"(?:\.?\[\d+\]|\+0x).*")


@dataclass(frozen=True)
class TableIndex:
    """The index."""

    way: Way
    """From where it was used to where it was read from."""
    beyond: bool
    """Whether what it led to is known to be none of the table's elements."""


def collect(
    session: Session, flow: DataFlow, backtrace: Backtrace, modules: Modules
) -> TableIndex | Missing:
    """Follow the index of the access, or of the load that brought the bad pointer."""
    if flow.subject == "index" and flow.first.ended == "loaded" and is_kept(flow.first):
        return TableIndex(flow.first, beyond=True)
    end = flow.first.end
    if not flow.of_a_pointer or end is None or end.how != "loaded" or end.memory is None:
        return Missing(Why.NOT_APPLICABLE, "the bad pointer was read from no table")
    found = calls(session, backtrace, None)
    context, at = place_of(found, end) or (None, 0)
    memory = indexed(context, at) if context is not None else None
    if context is None or memory is None or memory.index is None:
        return _of_entry(flow) or Missing(Why.NOT_APPLICABLE, "it was chosen by no index")
    follower = Follower(session, Namer(session, modules, backtrace), found)
    value = found.tracer.value(context, memory.index, at)
    ways = follower.ways(context, memory.index, value, at)[:1]
    if not ways or ways[0].ended != "loaded" or not is_kept(ways[0]):
        return Missing(Why.NOT_APPLICABLE, "the index was not kept in memory")
    number = ways[0].value
    if number is None:
        return TableIndex(ways[0], beyond=False)
    address = int(end.memory.address)
    names = [
        follower.name_at(context, where) for where in (address, address - number * memory.scale)
    ]
    return TableIndex(ways[0], beyond=_differ(*names))


def _of_entry(flow: DataFlow) -> TableIndex | None:
    """The index by which an entry was chosen whose member the bad pointer was."""
    way = flow.ways[1] if len(flow.ways) > 1 else None
    if way is None or way.index is None or way.ended != "loaded" or not is_kept(way):
        return None
    return TableIndex(way, beyond=False)


def indexed(context: Context, at: int) -> Memory | None:
    """What an instruction accesses by an index."""
    row = context.function.instructions[at]
    memories = (operand.memory for operand in row.operands if operand.memory is not None)
    return next((memory for memory in memories if memory.index is not None), None)


def _differ(one: str | None, other: str | None) -> bool:
    """Whether two names are not of elements of the same array.

    >>> _differ("fan.limits[3]", "fan.curves[0]"), _differ("table.[9]", "table.[0]")
    (True, False)
    """
    if one is None or other is None:
        return False
    return _ELEMENT.sub("", one) != _ELEMENT.sub("", other)

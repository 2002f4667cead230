"""Who raises the number of a table's entries and on some ways puts none there.

``at = market->nr++; if (metres > 30) return -ERANGE;``: a loop over the entries meets NULL.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.checked_value import HIGH, is_kept
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.extent import reached
from oopsight.evidence.flow.follower import Follower
from oopsight.evidence.flow.frames import SessionReader, calls, place_of
from oopsight.evidence.flow.instructions import Operand, whole_register
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.table_index import indexed
from oopsight.evidence.flow.ways import Namer, Way
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_writers import Field, FieldWriters
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session

_MOST_ENTRIES = 1 << 20


@dataclass(frozen=True)
class LimitWriters:
    """The number of entries, and who raises it in vain."""

    module: str
    way: Way
    """Of the number, from where it ended the loop to where it was read from."""
    functions: tuple[str, ...]


def collect(
    session: Session, flow: DataFlow, backtrace: Backtrace, modules: Modules
) -> LimitWriters | Missing:
    """Follow what ended the loop over a table of which an entry was NULL."""
    end = flow.first.end
    if not flow.of_a_pointer or end is None or end.how != "loaded" or end.value != 0:
        return Missing(Why.NOT_APPLICABLE, "no NULL pointer was kept in memory")
    module = next((one for one in modules.loaded if one.name == flow.first.module), None)
    found = calls(session, backtrace, None)
    context, at = place_of(found, end) or (None, 0)
    if module is None or not module.taints or context is None or indexed(context, at) is None:
        return Missing(Why.NOT_APPLICABLE, "it was in no table of a module's")
    follower = Follower(session, Namer(session, modules, backtrace), found)
    way = next(_limits(follower, context, at), None)
    if way is None:
        return Missing(Why.NOT_APPLICABLE, "what ends the loop was not kept in memory")
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    field = Field(way, HIGH, ())
    writers = FieldWriters(session, modules, module, inner, uses_of(reader, inner), field)
    return LimitWriters(module.name, way, writers.raising_in_vain)


def _limits(follower: Follower, context: Context, at: int) -> Iterator[Way]:
    """Numbers in memory that are compared in the loop around a place."""
    code = context.function
    for row in sorted(reached(code.after, at) & reached(code.before, at)):
        operands = (
            code.instructions[row].operands if code.instructions[row].mnemonic == "cmp" else ()
        )
        for way in (_way(follower, context, one, row) for one in operands[:2]):
            read = way.end.value if way is not None and way.end is not None else None
            kept = way is not None and way.ended == "loaded" and is_kept(way)
            if way is not None and kept and read is not None and 0 < read < _MOST_ENTRIES:
                yield way


def _way(follower: Follower, context: Context, operand: Operand, at: int) -> Way | None:
    register = whole_register(operand.register or "")
    if operand.memory is not None:
        return follower.ways(context, operand.memory, None, at)[0]
    return follower.ways(context, register, None, at)[0] if register is not None else None

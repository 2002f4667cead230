"""Who had taken an entry off its list that was to be taken off once more, or added it to one.

Each of a module's functions that take entries off stores the poison in them, but for those that set
them up anew, as list_del_init() does; and some store more in the object then: a state. Those whose
state is not there have not been the last. So it is of an entry that was to be added where it is.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import Value, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_marks import UNLINKED
from oopsight.evidence.modules.known_calls import LIST_ADDS
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.traces_beside import Place, belied, counted, stores
from oopsight.session import Session

_PREV = 8  # offset in a struct list_head or hlist_node
_NEXT_OF_DELETED = 0xDEAD000000000100  # LIST_POISON1 on x86-64


@dataclass(frozen=True)
class TakenOffBefore:
    """The entry, and what the functions of the module say to it."""

    entry: Address
    module: str
    functions: tuple[str, ...]
    """Take such entries off, or add them, and the object is as they leave it."""
    belied: tuple[str, ...]
    """Do so, and leave the object otherwise."""
    added: bool = False


def collect(
    session: Session,
    report: ListReport | Missing,
    flow: DataFlow | Missing,
    backtrace: Backtrace,
    modules: Modules,
) -> TakenOffBefore | Missing:
    """Ask those of the module's functions that take entries off."""
    none = Missing(Why.NOT_APPLICABLE, "no entry had been taken off its list before")
    added = isinstance(report, ListReport) and report.double_add
    entry = _entry(report, flow)
    name = next((frame.module for frame in backtrace.blamable if frame.module), None)
    module = next((one for one in modules.loaded if one.name == name and one.taints), None)
    if entry is None or module is None:
        return none
    reader = SessionReader(session)
    uses = uses_of(reader, inner_functions(session, module, reader))
    counts = counted(uses)
    found: dict[bool, list[str]] = {False: [], True: []}
    for one, use in uses.items():
        places = _adds(use) if added else _takes_off(use)
        at = entry if added else entry + _PREV
        if places:
            found[belied(reader.read, use, places, at, counts)].append(one)
    if not found[False]:
        return none
    return TakenOffBefore(
        Address(entry), module.name, tuple(found[False]), tuple(found[True]), added
    )


def _entry(report: ListReport | Missing, flow: DataFlow | Missing) -> int | None:
    """Where the entry is that has the poison in it."""
    if isinstance(report, ListReport):
        role = "new" if report.double_add else "entry"
        known = report.double_add or report.poison is not None
        entry = report.entry(role) if known else None
        return int(entry.owner.address) if entry is not None else None
    end = flow.first.end if isinstance(flow, DataFlow) else None
    if end is None or end.memory is None or end.value not in (UNLINKED, _NEXT_OF_DELETED):
        return None
    return int(end.memory.address) - (_PREV if end.value == UNLINKED else 0)


def _takes_off(use: FieldUse) -> list[Place]:
    """Where a function leaves the poison in an entry."""
    poison = Value("number", UNLINKED)
    ends = zip(use.stored_at, use.pointers, strict=True)
    return stores(use, {end for end, (_, value) in ends if value == poison})


def _adds(use: FieldUse) -> list[Place]:
    """Where a function has an entry looked at before it adds it to a list."""
    calls = [call for call in use.handed if call.name in LIST_ADDS]
    known = [(call.at + 1, within(call.arguments[0])) for call in calls]
    return [Place(end, distance, root) for end, (root, distance) in known]

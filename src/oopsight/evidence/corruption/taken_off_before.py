"""Who had taken an entry off its list that was to be taken off once more, or added it to one.

Each of a module's functions that take entries off stores the poison in them, but for those that set
them up anew, as list_del_init() does; and some store more in the object then: a state. Those whose
state is not there have not been the last. So it is of an entry that was to be added where it is.
One that has left its state is right, if who did so once more does not look at that.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import Value, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_marks import UNLINKED, states_beside
from oopsight.evidence.modules.known_calls import LIST_ADDS
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.traces_beside import Place, belied, counted, stores
from oopsight.kernel.addresses import signed
from oopsight.plumbing import base_name
from oopsight.session import Session

_PREV = 8  # offset in a struct list_head or hlist_node
_NEXT_OF_DELETED = 0xDEAD000000000100  # LIST_POISON1 on x86-64


@dataclass(frozen=True)
class TakenOffBefore:
    """The entry, and what the functions of the module say to it."""

    entry: Address
    module: str
    functions: tuple[str, ...]
    """Take such entries off, or add them, and the object is as they leave it; not those whose state
    in it nobody looked at who then did so once more."""
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
    inner = inner_functions(session, module, reader)
    uses = uses_of(reader, inner)
    counts = counted(uses)
    found: dict[bool, list[str]] = {False: [], True: []}
    places = {name: _adds(use) if added else _takes_off(use) for name, use in uses.items()}
    again = {base_name(f.function) for f in backtrace.blamable if f.module == module.name}
    looks = _looked_at(reader, [one for one in inner if base_name(one.name) in again], places)
    at = entry if added else entry + _PREV
    for one, use in uses.items():
        if not places[one]:
            continue
        lacks = belied(reader.read, use, places[one], at, counts)
        states = (states_beside(use.trail, place.key, place.base) for place in places[one])
        state = set[int]().union(*states)
        if lacks or looks is None or not state or state & looks:
            found[lacks].append(one)
    if not found[False]:
        return none
    return TakenOffBefore(
        Address(entry), module.name, tuple(found[False]), tuple(found[True]), added
    )


def _looked_at(
    reader: SessionReader, again: list[ModuleFunction], places: dict[str, list[Place]]
) -> set[int] | None:
    """How far from the entry's field lies what those read that took it off, or added it, again.

    :return: ``None`` where it is not known that one of them did so itself
    """
    found: set[int] = set()
    known = False
    calls = Calls(reader, (), {})
    for one in again:
        code = calls.function(one.start)
        for place in places.get(base_name(one.name), ()) if code is not None else ():
            known = True
            begin = signed(place.key) + (within(place.base)[1] if place.base is not None else 0)
            found |= {read - begin for read in _reads(code)} if code is not None else set()
    return found if known else None


def _reads(code: Function) -> Iterator[int]:
    """Displacements of what a function reads and does not change at once, its frame left out."""
    for row in code.instructions:
        for operand in row.operands:
            memory = operand.memory if operand.reads and not operand.writes else None
            if memory is not None and memory.base not in ("rsp", "rip"):
                yield memory.displacement


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

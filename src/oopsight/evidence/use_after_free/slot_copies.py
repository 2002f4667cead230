"""Who leaves a pointer in one place of a table when it puts it into another.

Who frees such an object takes it out of the place that it found it in, and the other place goes on
leading to it. The code tells who stores in the table what it has read there, and clears nothing.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.index_limits import Sum, sum_of
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function, repeated
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.effects import Constant, Copy, Effect, Load, Place
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.instructions import Memory, whole_register
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_WAYS = 3
_MOST_COPIES = 6
_POINTER = 8
_MOST_SLOTS = 256
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class SlotCopies:
    """The table that led to the object."""

    module: str
    name: str | None
    memory: BytesPointer | None
    """The place in it that did."""
    functions: tuple[str, ...]
    """Store there what they have read there, and leave it in the other place as well."""
    freers: tuple[str, ...]
    """Free such objects, and clear the place that they found them in."""


class _Table:
    """A variable that holds pointers, or an array of them in an object."""

    def __init__(self, begin: int | None, end: int, offset: int) -> None:
        """Where it begins and ends as a variable, or where in the object the place was."""
        self._begin, self._end, self._offset = begin, end, offset

    def has(self, place: Sum | None) -> bool:
        """Whether an access is to one of its places, by an index."""
        if place is None:
            return False
        first, factors = place[0], sorted(place[1].values())
        if self._begin is not None:
            return factors == [_POINTER] and self._begin <= first & _MASK < self._end
        apart = self._offset - first
        return factors == [1, _POINTER] and apart % 8 == 0 and 0 <= apart < _POINTER * _MOST_SLOTS


def collect(
    session: Session, flow: DataFlow, users: ObjectUsers, modules: Modules
) -> SlotCopies | Missing:
    """Look at the place that the pointer to the object was read from, and at the module's code."""
    none = Missing(Why.NOT_APPLICABLE, "no table of pointers led to the object")
    use = next(iter(users.modules), None)
    module = next((m for m in modules.loaded if use is not None and m.name == use.module), None)
    way = _leading(flow, users.object)
    table = _table(session, way) if way is not None else None
    if use is None or module is None or way is None or table is None:
        return none
    reader = SessionReader(session)
    calls = Calls(reader, (), {})
    copies: list[str] = []
    clears: list[str] = []
    for one in inner_functions(session, module, reader):
        code = calls.function(one.start)
        if code is None:
            continue
        copied, cleared = _stores(calls, code, table)
        name = base_name(one.name)
        if cleared:
            clears.append(name)
        elif copied:
            copies.append(name)
    freers = tuple(name for name in use.frees if name in clears)
    if not copies or not freers:
        return none
    memory = way.end.memory if way.end is not None else None
    return SlotCopies(module.name, way.name, memory, tuple(dict.fromkeys(copies)), freers)


def _leading(flow: DataFlow, one: SlabObject) -> Way | None:
    """The way of the pointer to the object, if that was read from memory."""
    for way in flow.ways[:_MOST_WAYS]:
        end = way.end
        value = end.value if way.ended == "loaded" and end is not None else None
        if value is not None and one.address <= value < one.end:
            return way
    return None


def _table(session: Session, way: Way) -> _Table | None:
    held = way.held_in
    if held is None or held.offset is None:
        return None
    if held.kind == "slab":
        return _Table(None, 0, held.offset)
    if held.kind != "module":
        return None
    try:
        symbol = session.prog.symbol(int(held.address))
    except LookupError:
        return None
    several = symbol.size > _POINTER
    return _Table(symbol.address, symbol.address + symbol.size, 0) if several else None


def _stores(calls: Calls, code: Function, table: _Table) -> tuple[bool, bool]:
    """Whether a function stores in the table what it had read there, and whether it clears any.

    Who does so twice exchanges two, and in a loop moves all of them up.
    """
    copied = 0
    cleared = False
    for at, row in enumerate(code.instructions):
        memory = row.operands[0].memory if row.mnemonic == "mov" else None
        if memory is None or memory.size != _POINTER or not _is_in(calls, code, memory, at, table):
            continue
        source = row.operands[1]
        what = _origin(calls, code, whole_register(source.register or ""), at)
        if source.immediate == 0 or what == Constant(0):
            cleared = True
        elif isinstance(what, tuple):
            copied += _is_in(calls, code, what[0], what[1], table) * (1 + repeated(code, at))
    return copied == 1, cleared


def _is_in(calls: Calls, code: Function, memory: Memory, at: int, table: _Table) -> bool:
    return memory.index is not None and table.has(sum_of(calls, code, memory, at))


def _origin(
    calls: Calls, code: Function, place: Place | None, at: int
) -> tuple[Memory, int] | Effect | None:
    """The memory that a register was loaded from, and where; or what else it was set to."""
    for _ in range(_MOST_COPIES):
        found = calls.tracer.definitions(code, place, at) if place is not None else None
        if not found or len(found) > 1:
            return None
        what, at = found[0].effect, found[0].index
        if isinstance(what, Load):
            return what.memory, at
        if not isinstance(what, Copy) or what.delta:
            return what
        place = what.source
    return None

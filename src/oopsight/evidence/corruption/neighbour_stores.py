"""Who can have written over a pointer by an index that leads out of the object before it.

``bank->switched[channel]`` with a channel that is compared with the number of elements, and may be
as large as that, comes to where the next object begins. That may be anybody's: those that make
objects of the cache are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.index_limits import IndexLimits, sum_of
from oopsight.evidence.corruption.indexed_stores import IndexedStore, stores_to
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.instructions import Memory
from oopsight.evidence.memory.owner import SlabObject, neighbour, owner_of
from oopsight.evidence.modules.module_roles import holding_variables, inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word

_MOST_MODULES = 16
_MOST = 3
_NEAR = (1, -1, 2, -2, 3, -3, 4, -4)
"""Places in the slab."""
_HALF = 32
_FAR = 1 << 12
_SURE = ("one too many", "a bit")


@dataclass(frozen=True)
class NeighbourStore:
    """A function with a store that can come there."""

    module: ModulePointer
    function: str
    index: int
    """With which it does."""
    how: str
    """``one too many``, ``a bit`` (of a bitmap) or ``unchecked``."""


@dataclass(frozen=True)
class NeighbourStores:
    """The pointer, the object before it, and who can have written there, the most suspect first."""

    object: SlabObject
    before: SlabObject
    memory: BytesPointer
    """The pointer as it is now."""
    stores: tuple[NeighbourStore, ...]

    @property
    def one_bit(self) -> bool:
        """Whether the first of them would change a single bit."""
        return self.stores[0].how == "a bit"

    @property
    def one_too_many(self) -> bool:
        """Whether the first of them lets its index be as large as the number of elements."""
        return self.stores[0].how == "one too many"


def collect(session: Session, flow: DataFlow, modules: Modules) -> NeighbourStores | Missing:
    """Look at the stores of all that make objects like the one before the pointer's."""
    none = Missing(Why.NOT_APPLICABLE, "no store by an index leads from the object before to it")
    held, end = flow.first.held_in, flow.first.end
    one = held.slab if held is not None else None
    if not flow.of_a_pointer or flow.first.ended != "loaded" or held is None or one is None:
        return none
    if flow.bad is None or flow.bad.is_memory or flow.bad.kind in ("null", "error-pointer"):
        return none
    if one.freed or end is None or end.memory is None or end.agrees is False:
        return none
    before = neighbour(session, modules, one, -1)
    value = read_word(session, int(held.address))
    if before is None or value is None:
        return none
    place = int(held.address) - int(before.address)
    damaged = _damaged(session, modules, one, int(held.address), value)
    found: list[NeighbourStore] = []
    for module in [one for one in modules.loaded if one.taints][:_MOST_MODULES]:
        found += _of_module(session, modules, module, before, place, damaged)
    found.sort(key=lambda store: store.how not in _SURE)
    memory = BytesPointer(held.address, value.to_bytes(8, "little").hex())
    return NeighbourStores(one, before, memory, tuple(found[:_MOST])) if found else none


def _damaged(
    session: Session, modules: Modules, one: SlabObject, field: int, value: int
) -> int | None:
    """How many bits of a pointer are wrong, if it seems to be one of which a part is right.

    What objects beside it hold there tells, or what begins all addresses of the kernel.
    """
    if value >> 48 == 0xFFFF:
        return _HALF
    least: int | None = None
    for steps in _NEAR:
        like = neighbour(session, modules, one, steps)
        other = read_word(session, field - int(one.address) + int(like.address)) if like else None
        if other is None or other == value or not owner_of(session, modules, other).is_memory:
            continue
        bits = (other ^ value).bit_count()
        low = (1 << _HALF) - 1
        if bits == 1 or abs((other & low) - (value & low)) < _FAR:
            least = min(bits, least or bits)
    return least


def _of_module(
    session: Session,
    modules: Modules,
    module: Module,
    before: SlabObject,
    place: int,
    damaged: int | None,
) -> Iterator[NeighbourStore]:
    """A module's functions with such a store, each once."""
    variables = [
        int(at)
        for holder, at, *_ in holding_variables(
            session, modules, before.address, before.address + 1
        )
        if holder.name == module.name
    ]
    made, whole = allocating(session, modules, module, before.cache_address, before.size)
    if not variables and not made and whole:
        return
    reader = SessionReader(session)
    calls = Calls(reader, (), {})
    inner = {one.start: one.name for one in inner_functions(session, module, reader)}
    known = IndexLimits(calls, inner)
    for begin, name in inner.items():
        code = calls.function(begin)
        if code is None:
            continue
        for one in stores_to(calls, code, known, place, in_object=True):
            numbers = _told(session, calls, code, one, int(before.address), variables)
            how = _how(one, numbers, damaged)
            if how is not None:
                yield NeighbourStore(module.pointer, base_name(name), one.index, how)
                break


def _how(one: IndexedStore, told: Collection[int], damaged: int | None) -> str | None:
    """What lets the index pass; ``None`` where nothing does, or the pointer is not like that.

    :param told: numbers in memory that the index may be as large as
    """
    if one.index <= 0:
        return None
    if not one.size:
        # With one bit wrong that speaks for itself, even if the kernel may have looked at it.
        passes = replace(one.limits, known=True).lets(one.index)
        return "a bit" if damaged == 1 and passes else None
    if one.limits.known and one.index == one.limits.most:
        return "one too many"
    if one.limits.up_to is not None:
        return "one too many" if one.index in told or (not told and damaged) else None
    return "unchecked" if damaged and one.limits.lets(one.index) else None


def _told(
    session: Session, calls: Calls, code: Function, one: IndexedStore, begin: int, held: list[int]
) -> list[int]:
    """What a number beside the table, or beside the pointer to it, holds.

    :param begin: of the object with the table
    :param held: where variables hold a pointer to it
    """
    if one.table is None or one.limits.up_to is None:
        return []
    number = _read(code, one.limits.up_to)
    if number is None:
        return []
    place = sum_of(calls, code, number, one.limits.up_to)
    if place is not None and place[1] == {one.table: 1}:
        return _numbers(session, [begin + place[0]], number.size)
    table = _read(code, int(str(one.table[1]))) if one.table[0] == "load" else None
    if table is None or table.base != number.base:
        return []
    beside = number.displacement - table.displacement
    return _numbers(session, [at + beside for at in held], number.size)


def _numbers(session: Session, places: list[int], size: int) -> list[int]:
    """What memory holds at some places; nothing of those that are not in the dump."""
    from drgn import FaultError

    found = []
    for place in places:
        try:
            found.append(int.from_bytes(session.read(Address(place), size), "little"))
        except (FaultError, OverflowError):
            continue
    return found


def _read(code: Function, at: int) -> Memory | None:
    """The memory that an instruction reads."""
    return next((one.memory for one in code.instructions[at].operands if one.memory), None)

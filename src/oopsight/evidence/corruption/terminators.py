"""Who ends a text one byte behind the memory that it has allocated for it.

``text = kmalloc(count); ... text[count] = 0``. Where the memory is as large as an object of the
cache, that is the first byte of the next one: the lowest of the pointer that this begins with.
Where that leads along a list, the entry that it led to before leads back still.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.index_limits import Sum, operand_sum, sum_of
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.corruption.writers import Writer
from oopsight.evidence.exhaustion.allocators import SIZE_IN, allocating
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import SlabObject, neighbour, owner_of
from oopsight.evidence.modules.module_roles import allocates_by_size, inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word

_MOST_MODULES = 16
_MOST_WAYS = 3
_MOST = 3
_BYTE = 0xFF
_WORD = 8
_NEAR = (1, -1, 2, -2, 3, -3, 4, -4)
"""Places in the slab."""
_LEAST_LIKE = 2


@dataclass(frozen=True)
class Terminators:
    """The pointer whose lowest byte may be such a zero, and the object that begins with it."""

    object: SlabObject
    before: SlabObject
    memory: BytesPointer
    writers: tuple[Writer, ...]
    """Functions that store a zero where what they have allocated ends."""
    back: BytesPointer | None = None
    """The pointer back from the entry of a list that the pointer led to before."""


def collect(
    session: Session, flow: DataFlow, modules: Modules, report: ListReport | Missing
) -> Terminators | Missing:
    """Look at the objects on the way to the bad value, and at who may have the one before."""
    none = Missing(Why.NOT_APPLICABLE, "no pointer that begins an object ends in a zero byte")
    found = _cut(session, modules, flow, report)
    if found is None:
        return none
    one, before, memory = found
    writers: list[Writer] = []
    for module in [m for m in modules.loaded if m.taints][:_MOST_MODULES]:
        made, whole = allocating(session, modules, module, before.cache_address, before.size)
        if made or not whole:
            writers += _writers(session, module)
    if not writers:
        return none
    return Terminators(one, before, memory, tuple(writers[:_MOST]), _back(session, one))


def _cut(
    session: Session, modules: Modules, flow: DataFlow, report: ListReport | Missing
) -> tuple[SlabObject, SlabObject, BytesPointer] | None:
    """An object that begins with a pointer which ends in zero, unlike those of others."""
    for one in _met(flow, report):
        value = read_word(session, int(one.address))
        before = neighbour(session, modules, one, -1)
        if one.freed or not value or value & _BYTE or before is None or value >> 63 == 0:
            continue
        if _back(session, one) is not None or _others_do_not(session, modules, one):
            memory = BytesPointer(one.address, value.to_bytes(8, "little").hex())
            return one, before, memory
    return None


def _met(flow: DataFlow, report: ListReport | Missing) -> Iterator[SlabObject]:
    """Objects at whose beginning the bad value was read, and entries that the list check names."""
    ways = flow.ways[:_MOST_WAYS] if flow.of_a_pointer else ()
    entries = report.entries if isinstance(report, ListReport) else ()
    owners = [*(way.held_in for way in ways), *(entry.owner for entry in entries)]
    for owner in owners:
        if owner is not None and owner.slab is not None and not owner.offset:
            yield owner.slab


def _back(session: Session, one: SlabObject) -> BytesPointer | None:
    """The pointer back from an entry whose address differs by the lowest byte alone."""
    at = int(one.address)
    value = read_word(session, at) or 0
    for entry in range(value + _WORD, value + _BYTE, _WORD):
        if read_word(session, entry + _WORD) == at:
            return BytesPointer(Address(entry + _WORD), at.to_bytes(8, "little").hex())
    return None


def _others_do_not(session: Session, modules: Modules, one: SlabObject) -> bool:
    """Whether most objects beside it begin with pointers to memory that do not end in zero."""
    like = (neighbour(session, modules, one, steps) for steps in _NEAR)
    words = [read_word(session, int(other.address)) for other in like if other is not None]
    good = [word for word in words if word and owner_of(session, modules, word).is_memory]
    whole = sum(word & _BYTE != 0 for word in good)
    return whole >= _LEAST_LIKE and 2 * whole > len(good)


def _writers(session: Session, module: Module) -> Iterator[Writer]:
    """Functions of a module that end what they allocate one byte too late, each once."""
    reader = SessionReader(session)
    calls = Calls(reader, (), {})
    for one in inner_functions(session, module, reader):
        code = calls.function(one.start)
        if code is not None and _one_too_late(calls, code):
            yield Writer(module.pointer, base_name(one.name))


def _one_too_late(calls: Calls, code: Function) -> bool:
    """Whether a function stores zero as far from what an allocation returned as that is large."""
    sizes: dict[int, Sum] = {}
    for at, row in enumerate(code.instructions):
        known = calls.reader.function(row.target) if row.is_call and row.target else None
        register = _size_in(known[0]) if known is not None else None
        if register is not None:
            size = operand_sum(calls, code, register, at)
            if size is not None and size[1]:
                sizes[at] = size
    return any(
        _stores_at(calls, code, at, call, size)
        for call, size in sizes.items()
        for at in range(len(code.instructions))
    )


def _size_in(called: str) -> str | None:
    """The argument that tells an allocator how many bytes."""
    return "rdi" if allocates_by_size(called) else SIZE_IN.get(called)


def _stores_at(calls: Calls, code: Function, at: int, call: int, size: Sum) -> bool:
    row = code.instructions[at]
    memory = row.operands[0].memory if row.mnemonic == "mov" and row.operands else None
    if memory is None or memory.size != 1 or row.operands[1].immediate != 0:
        return False
    place = sum_of(calls, code, memory, at)
    return place == (size[0], {("returned", call): 1, **size[1]})

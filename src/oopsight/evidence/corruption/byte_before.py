"""Who can have written a byte before an object begins, into the pointer that ends another.

``text[strlen(text) - 1] = 0`` of an empty text. A pointer at the end of an object that would be
right but for its highest byte was changed from the object behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.index_limits import IndexLimits, sum_of
from oopsight.evidence.corruption.writers import Writer
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function, repeated
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.effects import slot_of
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import SlabObject, neighbour, owner_of
from oopsight.evidence.modules.module_roles import holding_variables, inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word

_MOST_MODULES = 16
_MOST = 3
_HIGHEST = 56
"""Bits below the highest byte of a pointer, which is 0xff in all of the kernel's."""
_BYTE = 0xFF
_TWO = 2


@dataclass(frozen=True)
class ByteBefore:
    """The pointer, and the object behind it."""

    object: SlabObject
    behind: SlabObject
    memory: BytesPointer
    """The pointer as it is now."""
    byte: int
    """Its highest."""
    writers: tuple[Writer, ...]
    """Functions that store a byte by a number less one, and let that be zero."""


def collect(session: Session, flow: DataFlow, modules: Modules) -> ByteBefore | Missing:
    """Look whether only the last byte of an object is wrong, and at who may have written it."""
    none = Missing(Why.NOT_APPLICABLE, "no pointer that ends an object has a wrong highest byte")
    held = flow.first.held_in
    one = held.slab if held is not None else None
    if not flow.of_a_pointer or flow.first.ended != "loaded" or held is None or one is None:
        return none
    behind = neighbour(session, modules, one, 1)
    value = read_word(session, int(held.address))
    if one.freed or value is None or behind is None or int(held.address) + 8 != behind.address:
        return none
    byte, meant = value >> _HIGHEST, value | _BYTE << _HIGHEST
    if byte == _BYTE or not owner_of(session, modules, meant).is_memory:
        return none
    found: list[Writer] = []
    for module in [m for m in modules.loaded if m.taints][:_MOST_MODULES]:
        if _may_have(session, modules, module, behind):
            found += _writers(session, module, byte)
    memory = BytesPointer(held.address, value.to_bytes(8, "little").hex())
    return ByteBefore(one, behind, memory, byte, tuple(found[:_MOST])) if found else none


def _may_have(session: Session, modules: Modules, module: Module, one: SlabObject) -> bool:
    """Whether an object may be a module's."""
    holders = holding_variables(session, modules, one.address, one.address + 1)
    if any(holder.name == module.name for holder, *_ in holders):
        return True
    made, whole = allocating(session, modules, module, one.cache_address, one.size)
    return bool(made) or not whole


def _writers(session: Session, module: Module, byte: int) -> Iterator[Writer]:
    """Functions of a module that can have written that byte, each once."""
    reader = SessionReader(session)
    calls = Calls(reader, (), {})
    inner = {one.start: one.name for one in inner_functions(session, module, reader)}
    known = IndexLimits(calls, inner)
    for begin, name in inner.items():
        code = calls.function(begin)
        if code is not None and any(
            _comes_before(calls, code, at, byte, known) for at in range(len(code.instructions))
        ):
            yield Writer(module.pointer, base_name(name))


def _comes_before(calls: Calls, code: Function, at: int, byte: int, known: IndexLimits) -> bool:
    """Whether an instruction stores the byte at an index less one that may be zero."""
    row = code.instructions[at]
    if row.mnemonic != "mov" or len(row.operands) != _TWO or row.operands[0].memory is None:
        return False
    memory, stored = row.operands[0].memory, row.operands[1].immediate
    if memory.size != 1 or memory.segment or memory.displacement != -1:
        return False
    if slot_of(code, at, memory) is not None or (stored is not None and stored & _BYTE != byte):
        return False
    # What a loop writes behind the pointer that it has moved on is nothing of the kind.
    place = sum_of(calls, code, memory, at) if not repeated(code, at) else None
    if place is None or place[0] != -1 or len(place[1]) != _TWO:
        return False
    limits = [known.of(code, root) for root in place[1]]
    looked_at = any(one.not_zero or (one.least is not None and one.least > 0) for one in limits)
    return not looked_at and set(place[1].values()) == {1}

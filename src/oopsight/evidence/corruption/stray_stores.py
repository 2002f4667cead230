"""Who can have written over a pointer by an index that leads out of its table.

``table[channel].left = left`` with a signed ``channel`` that is compared with the largest alone, or
with one too many, or not at all: an element before or behind the table lies where the pointer was.
The code tells table, stride and limits; where the pointer lay is known. Only numbers that come with
a call are looked at, not what a loop counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.index_limits import IndexLimits, sum_of
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.effects import MASK, signed, slot_of
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.addresses import in_kernel_half
from oopsight.plumbing import base_name
from oopsight.session import Session

_POINTER = 8
_WIDTHS = (4, 8)
_MOST = 3
_FARTHEST = 1 << 16
"""Elements."""
_LARGEST_OBJECT = 1 << 13


@dataclass(frozen=True)
class StrayStore:
    """A function that stores by a number which came with the call."""

    function: str
    index: int
    """With which it comes to where the pointer was."""
    least: int | None
    """The smallest that is let pass; ``None`` where that is not looked at."""
    most: int | None
    """The largest."""


@dataclass(frozen=True)
class StrayStores:
    """All of the module that the pointer belongs to, the most suspect first."""

    module: ModulePointer
    place: str | None
    """What is kept there, by its name."""
    stores: tuple[StrayStore, ...]


def collect(session: Session, flow: DataFlow, modules: Modules) -> StrayStores | Missing:
    """Look at the stores of the module that read the bad pointer from its variable or object."""
    none = Missing(Why.NOT_APPLICABLE, "no pointer that a module keeps was found wrong")
    end, held = flow.first.end, flow.first.held_in
    module = next((m for m in modules.loaded if m.name == flow.first.module), None)
    if not flow.of_a_pointer or flow.first.ended != "loaded" or module is None:
        return none
    if end is None or end.memory is None or held is None or not module.taints:
        return none
    at = int(end.memory.address)
    if held.kind == "slab" and held.slab is not None:
        start = int(held.slab.address)
    elif held.kind == "module" and module.holds(at):
        start = 0
    else:
        return none
    found = stray_stores(session, module, at - start, in_object=bool(start))
    return StrayStores(module.pointer, flow.first.name, found) if found else none


def stray_stores(
    session: Session, module: Module, at: int, *, in_object: bool
) -> tuple[StrayStore, ...]:
    """Functions of a module whose stores can lead to a place.

    :param at: its address, or its distance from the beginning of an object
    """
    reader = SessionReader(session)
    calls = Calls(reader, (), {})
    inner = {one.start: one.name for one in inner_functions(session, module, reader)}
    limits = IndexLimits(calls, inner)
    found: dict[str, StrayStore] = {}
    for begin, name in inner.items():
        code = calls.function(begin)
        for one in _stores(calls, code, limits, at, in_object) if code is not None else ():
            found.setdefault(base_name(name), StrayStore(base_name(name), *one))
    ranked = sorted(found.values(), key=lambda one: one.least is None and one.most is None)
    return tuple(ranked[:_MOST])


def _stores(
    calls: Calls, code: Function, limits: IndexLimits, at: int, in_object: bool
) -> Iterator[tuple[int, int | None, int | None]]:
    """Stores of a function that can come to a place: with which index, and what it lets pass."""
    for index, row in enumerate(code.instructions):
        memory = next((o.memory for o in row.operands[:1] if o.memory and o.writes), None)
        if memory is None or row.mnemonic != "mov" or memory.size not in _WIDTHS:
            continue
        if memory.segment or slot_of(code, index, memory) is not None:
            continue
        place = sum_of(calls, code, memory, index)
        if place is None:
            continue
        first, terms = place
        if in_object:
            pointers = [root for root, factor in terms.items() if factor == 1]
            if len(terms) != 2 or not pointers or abs(first) > _LARGEST_OBJECT:
                continue
            terms = {root: factor for root, factor in terms.items() if root != pointers[0]}
        elif len(terms) != 1 or not in_kernel_half(first & MASK):
            continue
        root, stride = next(iter(terms.items()))
        distance = at - first if in_object else signed(at - first)
        number = _index(distance, stride, memory.size)
        passes = limits.of(code, root) if number is not None else None
        if number is None or passes is None or not passes.lets(number):
            continue
        # What stores a whole pointer behind the first element may be to set just that.
        if number < 0 or memory.size < _POINTER:
            yield number, passes.least, passes.most


def _index(distance: int, stride: int, size: int) -> int | None:
    """The index with which a store runs into a pointer.

    :param distance: from the first element to the pointer, in bytes
    :param stride: from one element to the next
    :param size: of what is stored
    """
    if stride < size:
        return None
    for byte in range(1 - size, _POINTER):
        number, rest = divmod(distance + byte, stride)
        if not rest and abs(number) < _FARTHEST:
            return number
    return None

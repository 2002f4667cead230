"""Who can have written over a pointer by an index that leads out of its table.

``table[channel].left = left`` with a signed ``channel`` that is compared with the largest alone, or
with one too many, or not at all: an element before or behind the table lies where the pointer was.
The code tells table, stride and limits; where the pointer lay is known. Only numbers that come with
a call are looked at, not what a loop counts.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.index_limits import IndexLimits
from oopsight.evidence.corruption.indexed_stores import POINTER, stores_to
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST = 3


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
    bits: bool = False
    """Whether it sets or clears a bit, and no more; then the index is that of the first bit."""


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
    known = IndexLimits(calls, inner)
    found: dict[str, StrayStore] = {}
    for begin, name in inner.items():
        code = calls.function(begin)
        stores = stores_to(calls, code, known, at, in_object=in_object) if code is not None else ()
        for one in stores:
            # What stores a whole pointer behind the first element may be to set just that.
            if one.limits.lets(one.index) and (one.index < 0 or one.size < POINTER):
                limits = one.limits
                store = StrayStore(
                    base_name(name), one.index, limits.least, limits.most, bits=not one.size
                )
                found.setdefault(base_name(name), store)
    ranked = sorted(found.values(), key=lambda one: one.least is None and one.most is None)
    return tuple(ranked[:_MOST])

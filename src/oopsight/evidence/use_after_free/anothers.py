"""An object that is another module's by now, on a list of it: freed, and allocated again by that.

The entry of a list or hash chain that lies in it leads back, entry by entry, to a head in the other
module's data. Modules that know each other share objects; of those that do not, one has freed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Address
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.module_code import ModuleFunction, functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free.registrants import Registry, registry_of
from oopsight.session import Session, read_word
from oopsight.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oopsight.evidence.flow.data_flow import DataFlow
    from oopsight.evidence.memory.owner import SlabObject

_MOST_ENTRIES = 1024
_LARGEST = 4096
_KERNEL_HALF = 1 << 63


@dataclass(frozen=True)
class Anothers:
    """The object, and whose it was."""

    role: str
    object: SlabObject
    former: tuple[tuple[str, str, BytesPointer], ...]
    """Modules that can have had it, why, and what says whose it is now."""


@dataclass(frozen=True)
class _Head:
    """A list's head in a module's data."""

    module: Module
    name: str
    memory: BytesPointer


def anothers(session: Session, modules: Modules, flow: DataFlow | None) -> Anothers | None:
    """The object that a bad pointer was read from, if it is on another module's list."""
    held = flow.first.held_in if flow is not None else None
    one = held.slab if held is not None else None
    if flow is None or one is None or one.freed or not flow.of_a_pointer:
        return None
    if flow.bad is None or flow.bad.is_memory:
        return None
    name = flow.first.module
    registry = registry_of(flow.first) if name is None else None
    if name is None and registry is None:
        return None
    heads = list(_heads(session, modules, one))
    if not heads or any(head.module.name == name for head in heads):
        return None
    head = heads[0]
    it_is = f"it is on the list {head.name} of {head.module.name}"
    if registry is not None:
        former = _registered(session, modules, one, head, registry)
        role = f"the kernel takes it for {registry.what}, and {it_is}, which has none of them"
    else:
        former = _read(session, modules, one, head, name)
        role = f"{name} reads pointers from it, and {it_is}, which has nothing to do with {name}"
    return Anothers(role, one, former) if former else None


def _heads(session: Session, modules: Modules, one: SlabObject) -> Iterator[_Head]:
    """Heads of the lists that an object is on."""
    for offset in range(0, min(one.size, _LARGEST) - 8, 8):
        found = _head(session, modules, one.address + offset)
        if found is not None:
            yield found


def _head(session: Session, modules: Modules, entry: int) -> _Head | None:
    """Go back from entry to entry, each of which leads to the one that was come from."""
    at = entry
    for _ in range(_MOST_ENTRIES):
        # list_head.prev, or hlist_node.pprev: what is there leads on to the entry.
        before = read_word(session, at + 8)
        if before is None or before < _KERNEL_HALF or before % 8:
            return None
        if before == entry or read_word(session, before) != at:
            return None
        module = modules.owner(before)
        if module is not None and not module.taints:
            return None  # the kernel's own modules have others' objects on their lists
        if module is not None:
            memory = BytesPointer(Address(before), at.to_bytes(8, "little").hex())
            return _Head(module, _name(session, before), memory)
        at = before
    return None


def _name(session: Session, address: int) -> str:
    try:
        return printable(session.prog.symbol(address).name)
    except LookupError:
        return f"at {address:#x}"


def _read(
    session: Session, modules: Modules, one: SlabObject, head: _Head, name: str | None
) -> tuple[tuple[str, str, BytesPointer], ...]:
    """The module that read it, if it makes such objects and does not know the other."""
    reader = next((m for m in modules.loaded if m.name == name and m.taints), None)
    if reader is None:
        return ()
    made, whole = allocating(session, modules, reader, one.cache_address, one.size)
    if (whole and not made) or _acquainted(session, modules, reader, head.module):
        return ()
    return ((reader.name, "it uses the object", head.memory),)


def _registered(
    session: Session, modules: Modules, one: SlabObject, head: _Head, registry: Registry
) -> tuple[tuple[str, str, BytesPointer], ...]:
    """Modules that put such entries there and make such objects, if its owner has none there.

    What a module registers as it is loaded its code does not tell any more, but how it takes that
    back.
    """
    if any(registry.handles(f) for f in _code(session, head.module)):
        return ()
    putting = [
        module
        for module in modules.loaded
        if module.taints and any(registry.handles(f) for f in _code(session, module))
    ]
    made = {
        module.name: allocating(session, modules, module, one.cache_address, one.size)
        for module in putting
    }
    able = [module for module in putting if made[module.name][0]]
    able = able or [module for module in putting if not made[module.name][1]]
    why = f"it has {registry.what} and makes such objects"
    return tuple((module.name, why, head.memory) for module in able)


def _acquainted(session: Session, modules: Modules, one: Module, other: Module) -> bool:
    """Whether two modules use each other, or both a third."""
    if _uses(session, one, other) or _uses(session, other, one):
        return True
    thirds = [m for m in modules.loaded if m.taints and m.name not in (one.name, other.name)]
    return any(_uses(session, one, third) and _uses(session, other, third) for third in thirds)


def _uses(session: Session, one: Module, other: Module) -> bool:
    """Whether a module's code calls another's, or refers to its data."""
    mine = _code(session, one)
    theirs = {f.name for f in _code(session, other)} - {f.name for f in mine}
    return any(theirs & f.calls or any(other.holds(at) for at in f.refers) for f in mine)


def _code(session: Session, module: Module) -> tuple[ModuleFunction, ...]:
    """All of a module's functions, its exit function as well."""
    known: dict[int, tuple[ModuleFunction, ...]] = session.prog.cache.setdefault(
        "oopsight:all-functions-of-modules", {}
    )
    if module.base not in known:
        known[module.base] = functions(SessionReader(session), module)
    return known[module.base]

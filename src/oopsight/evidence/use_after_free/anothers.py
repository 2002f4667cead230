"""An object that is another module's by now: freed, and allocated again by that.

Modules that know each other share objects; of those that do not, one has freed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.dependencies import needs
from oopsight.evidence.modules.module_code import ModuleFunction, functions
from oopsight.evidence.modules.module_roles import holding_variables
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free.callback_registries import Registry, registry_met
from oopsight.evidence.use_after_free.claims import Claim, claim_of, held_by
from oopsight.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oopsight.evidence.flow.data_flow import DataFlow
    from oopsight.evidence.memory.owner import SlabObject

_MOST_USED = 64


@dataclass(frozen=True)
class Anothers:
    """The object, and whose it was."""

    role: str
    object: SlabObject
    owner: str
    """The module whose it is now."""
    former: tuple[tuple[str, str, BytesPointer], ...]
    """Modules that can have had it, why, and what says whose it is now."""
    lent: bool = False
    """Whether who had it makes none: the kernel made it for it."""


def anothers(
    session: Session, modules: Modules, flow: DataFlow | None, on_path: Iterable[str] = ()
) -> Anothers | None:
    """The object that a bad pointer was read from, if it is another module's.

    Or the one that the pointer came from which led to the bad one: what is a pointer of the other
    module's leads anywhere.

    :param on_path: names of the modules on the crash path
    """
    if flow is None or not flow.of_a_pointer or flow.bad is None:
        return None
    found = None if flow.bad.is_memory else _met(session, modules, flow, 0, on_path)
    if found is None and len(flow.ways) > 1 and flow.ways[1].module is not None:
        found = _met(session, modules, flow, 1)
    return found


def _met(
    session: Session, modules: Modules, flow: DataFlow, number: int, on_path: Iterable[str] = ()
) -> Anothers | None:
    """The same, of the object that one of the pointers was read from."""
    way, held = flow.ways[number], flow.ways[number].held_in
    one = held.slab if held is not None else None
    if held is None or one is None or one.freed or not _reached(flow, number, one):
        return None
    name = _user(modules, flow, number)
    registry = registry_met(flow.ways[number:]) if name is None else None
    lender = None
    if name is None and not number:
        lender = _had_from_kernel(modules, flow, one) or _keeps(session, modules, one, on_path)
    if name is None and registry is None and lender is None:
        return None
    users = _users(session, modules, name or lender, registry)
    claim = claim_of(session, modules, one, int(held.address), users)
    if claim is None and registry is not None:
        claim = _held_by_a_maker(session, modules, one, users)
    # Another's zeros and pointers are a live object's, too.
    ordinary = number or (flow.bad is not None and flow.bad.kind == "null")
    if claim is None or (ordinary and (name is None or _names(one, name)) and registry is None):
        return None
    owner = claim.module.name
    if name is not None and (former := _read(session, modules, one, claim, name)):
        role = f"{name} reads pointers from it, and {claim.text}: {owner} does not know {name}"
        return Anothers(role, one, owner, former)
    if registry is not None and (given := _given_away(session, modules, one, claim, registry)):
        return given
    user = name or lender
    if user is None or way.module == user or (ordinary and not _within(flow, number, claim, one)):
        return None
    return _lent(session, modules, one, claim, user)


def _within(flow: DataFlow, number: int, claim: Claim, one: SlabObject) -> bool:
    """Whether what is the owner's lies amidst what the kernel takes for one of its own objects.

    Between where the pointer led that it was handed, and what it read by that. An object that a
    driver has around one of the kernel's has its own things outside it.
    """
    outer = flow.ways[number + 1] if len(flow.ways) > number + 1 else None
    begin = outer.end.value if outer is not None and outer.end is not None else None
    held = flow.ways[number].held_in
    if begin is None or held is None or claim.place is None:
        return False
    return int(begin) <= one.address + claim.place < int(held.address)


def entry_given_away(
    session: Session, modules: Modules, one: SlabObject, at: int, registry: Registry
) -> Anothers | None:
    """An object with what the kernel takes for a module's entry, if it is another module's.

    :param at: where the entry is
    """
    users = _users(session, modules, None, registry)
    claim = claim_of(session, modules, one, at, users) if users else None
    return _given_away(session, modules, one, claim, registry) if claim is not None else None


def _given_away(
    session: Session, modules: Modules, one: SlabObject, claim: Claim, registry: Registry
) -> Anothers | None:
    """The same, of what is known whose it is now."""
    former = _registered(session, modules, one, claim, registry)
    owner = claim.module.name
    role = f"the kernel takes it for {registry.what}, and {claim.text}: {owner} has none"
    return Anothers(role, one, owner, former) if former else None


def has_it_now(
    session: Session, modules: Modules, flow: DataFlow | None, one: SlabObject
) -> str | None:
    """The module whose a refilled object is now; ``None`` where it may as well have been freed."""
    held = flow.first.held_in if flow is not None else None
    if flow is None or held is None:
        return None
    user = _user(modules, flow, 0) or _had_from_kernel(modules, flow, one)
    registry = registry_met(flow.ways) if user is None else None
    users = _users(session, modules, user, registry)
    claim = claim_of(session, modules, one, int(held.address), users) if users else None
    if claim is None:
        return None
    before = next((m for m in modules.loaded if m.name == user), None)
    known = before is not None and acquainted(session, modules, before, claim.module)
    return None if known else claim.module.name


def _held_by_a_maker(
    session: Session, modules: Modules, one: SlabObject, users: set[str]
) -> Claim | None:
    """Whose an object is that names a user's function still, where another has put nothing yet.

    The other has its address, makes such objects, and does not know the one that is named.
    """
    claim = held_by(session, modules, one, users)
    named = {reference.module for reference in one.refers} & users
    former = [module for module in modules.loaded if module.name in named]
    if claim is None or any(acquainted(session, modules, m, claim.module) for m in former):
        return None
    made, _ = allocating(session, modules, claim.module, one.cache_address, one.size)
    return claim if made else None


def _users(
    session: Session, modules: Modules, user: str | None, registry: Registry | None
) -> set[str]:
    """The module that an object was used by, and those that have such entries there."""
    found = {user} if user is not None else set()
    if registry is not None:
        foreign = (module for module in modules.loaded if module.taints)
        found |= {module.name for module in foreign if _puts(session, module, registry)}
    return found


def _reached(flow: DataFlow, number: int, one: SlabObject) -> bool:
    """Whether a pointer led into the object, and not an index from another one."""
    if flow.ways[number].index is not None or len(flow.ways) <= number + 1:
        return flow.ways[number].index is None
    way = flow.ways[number + 1]
    # A pointer to a member is moved to where the whole would begin.
    met = [at for at in (way.value, way.end.value if way.end else None) if at is not None]
    return way.index is None and (not met or any(one.address <= int(at) < one.end for at in met))


def _user(modules: Modules, flow: DataFlow, number: int) -> str | None:
    """The module from outside the kernel that read from the object, or had the kernel read it."""
    foreign = {module.name for module in modules.loaded if module.taints}
    handed = (step.module for way in flow.ways[number + 1 :][:1] for step in way.steps)
    mine = flow.ways[number].module
    return next((name for name in (mine, *handed) if name in foreign), None)


def _had_from_kernel(modules: Modules, flow: DataFlow, one: SlabObject) -> str | None:
    """The module whose object or variable held the pointer by which the kernel came to an object.

    The entry before it on a list may be anybody's: the pointer is one to its very beginning, or
    lies in an object of the same kind.
    """
    held = flow.ways[1].held_in if len(flow.ways) > 1 else None
    way, read = flow.ways[1] if held is not None else None, flow.first.held_in
    if held is None or way is None or read is None:
        return None
    kept = held.slab
    alike = (
        kept is not None and kept.cache_address == one.cache_address and held.offset == read.offset
    )
    if way.end is None or (way.end.value != one.address and not alike):
        return None
    refers = [ref.module for ref in kept.refers] if kept is not None else [held.module]
    foreign = {module.name for module in modules.loaded if module.taints}
    return next((name for name in refers if name in foreign), None)


def _keeps(
    session: Session, modules: Modules, one: SlabObject, on_path: Iterable[str]
) -> str | None:
    """The first module on the crash path of which a variable has the very address of an object."""
    holders = {
        module.name
        for module, *_ in holding_variables(session, modules, one.address, one.address + 1)
    }
    return next((name for name in on_path if name in holders), None)


def _names(one: SlabObject, name: str | None) -> bool:
    """Whether an object points to a module's code or data: it is that module's still, it seems."""
    return any(reference.module == name for reference in one.refers)


def _read(
    session: Session, modules: Modules, one: SlabObject, claim: Claim, name: str
) -> tuple[tuple[str, str, BytesPointer], ...]:
    """The module that read it, if it makes such objects and does not know the other."""
    reader = next((m for m in modules.loaded if m.name == name and m.taints), None)
    if reader is None:
        return ()
    for module in (reader, claim.module):
        made, whole = allocating(session, modules, module, one.cache_address, one.size)
        if whole and not made:
            return ()
    if acquainted(session, modules, reader, claim.module):
        return ()
    return ((reader.name, "it uses the object", claim.memory),)


def _lent(
    session: Session, modules: Modules, one: SlabObject, claim: Claim, name: str
) -> Anothers | None:
    """An object that a module had the kernel use, if its owner makes such objects by itself."""
    user = next((m for m in modules.loaded if m.name == name), None)
    if user is None or acquainted(session, modules, user, claim.module):
        return None
    if not allocating(session, modules, claim.module, one.cache_address, one.size)[0]:
        return None
    made, whole = allocating(session, modules, user, one.cache_address, one.size)
    return Anothers(
        role=f"{name} has the kernel read pointers from it, and {claim.text}",
        object=one,
        owner=claim.module.name,
        former=((name, "it had the kernel use the object", claim.memory),),
        lent=whole and not made,
    )


def _registered(
    session: Session, modules: Modules, one: SlabObject, claim: Claim, registry: Registry
) -> tuple[tuple[str, str, BytesPointer], ...]:
    """Modules that put such entries there and make such objects.

    What a module registers as it is loaded its code does not tell any more, but how it takes that
    back.
    """
    putting = [m for m in modules.loaded if m.taints and _puts(session, m, registry)]
    made = {
        module.name: allocating(session, modules, module, one.cache_address, one.size)
        for module in putting
    }
    able = [module for module in putting if made[module.name][0]]
    able = able or [module for module in putting if not made[module.name][1]]
    able.sort(key=lambda module: not _names(one, module.name))
    why = f"it has {registry.what} and makes such objects"
    return tuple((module.name, why, claim.memory) for module in able)


def _puts(session: Session, module: Module, registry: Registry) -> bool:
    """Whether a module puts such entries there, or takes them back."""
    return any(registry.handles(function) for function in _code(session, module))


def acquainted(session: Session, modules: Modules, one: Module, other: Module) -> bool:
    """Whether two modules use each other, or both a third."""
    if _uses(session, one, other) or _uses(session, other, one):
        return True
    if needs(session, one.name) & needs(session, other.name):
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

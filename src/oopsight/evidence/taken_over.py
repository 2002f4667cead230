"""Memory of an unloaded module that a module loaded later has got: a pointer to the one's object.

The area where modules lie is filled from its beginning, so that the next module often gets the
place of the last. A registry that still points to the first one's object then leads into the second
one's memory, to wherever that place lies in it.
"""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.data_flow import DataFlow
from oopsight.evidence.former_owner import FormerOwner, Spot, former_owner
from oopsight.evidence.modules import Module, Modules
from oopsight.evidence.unloaded_modules import UnloadedModules
from oopsight.session import Session

_NEVER_AN_OBJECT = ("__this_module",)


@dataclass(frozen=True)
class TakenOver:
    """The object that was read, and whose it is now and was."""

    address: Address
    """Where the object begins, as far as it can be followed."""
    now: str
    """The module that is there."""
    inside: str | None
    """The only symbol of it that holds the address; that of its ``struct module`` or of code."""
    former: FormerOwner


def collect(
    session: Session, flow: DataFlow, modules: Modules, unloaded: UnloadedModules | Missing
) -> TakenOver | Missing:
    """Look at the object that the bad value, or the pointer to it, was read from."""
    none = Missing(Why.NOT_APPLICABLE, "nothing was read from where another module had been")
    gone = unloaded.modules if isinstance(unloaded, UnloadedModules) else ()
    for number, way in enumerate(flow.ways[:2]):
        held = way.held_in
        if held is None or held.kind != "module" or not flow.of_a_pointer:
            continue
        module = modules.owner(held.address)
        # Whose code it is knows its own data.
        if module is None or way.module == module.name:
            return none
        outer = flow.ways[number + 1].value if number + 1 < len(flow.ways) else None
        near = outer is not None and 0 <= held.address - outer < 4096
        address = Address(outer if near and outer is not None else held.address)
        inside = _inside(session, module, address)
        if inside is None or not gone:
            return none
        # Of the files only that the module lay here counts, not that another does now.
        spot = Spot(int(address), execute=False, modules=replace(modules, loaded=()))
        names = [one.name for one in gone if one.name != module.name]
        owner = former_owner(session, spot, names)
        if isinstance(owner, Missing) or owner.module == module.name:
            return none
        return TakenOver(address, module.name, inside or None, owner)
    return none


def _inside(session: Session, module: Module, address: int) -> str | None:
    """What of a module holds an address that none of its objects does.

    :return: ``""`` where no symbol does; ``None`` where it is one of its objects, or none is known
    """
    from drgn import FaultError, SymbolKind
    from drgn.helpers.linux.kallsyms import module_kallsyms
    from drgn.helpers.linux.module import find_module

    try:
        found = find_module(session.prog, module.name)
        symbols: list[Any] = module_kallsyms(found) if found else []
    except (FaultError, LookupError, AttributeError, ValueError):
        return None
    # Kernels without CONFIG_KALLSYMS_ALL know functions alone.
    objects = [s for s in symbols if s.kind == SymbolKind.OBJECT and s.name not in _NEVER_AN_OBJECT]
    if not objects or any(s.address <= address < s.address + max(s.size, 1) for s in objects):
        return None
    return next((s.name for s in symbols if s.address <= address < s.address + s.size), "")

"""Who frees what an object is now, and not what it was before it was given away.

A variable of the module leads to the object as it is now. Who frees only what that variable holds
frees objects of this kind.
"""

from __future__ import annotations

from oopsight.evidence.corruption.two_lists import whole_variable
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.handing import Uses
from oopsight.evidence.modules.module_roles import holding_variables
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.session import Session


def present_freers(
    session: Session, modules: Modules, module: Module, one: SlabObject, uses: Uses
) -> set[str]:
    """Functions that free only what those variables hold which lead to an object by now."""
    areas = [
        whole_variable(session, int(at))
        for owner, at, *_ in holding_variables(session, modules, one.address, one.address + 1)
        if owner.name == module.name
    ]
    return {
        name
        for name, use in uses.items()
        if use.freed
        and all(
            value.kind == "loaded" and any(begin <= value.number < end for begin, end in areas)
            for _, value in use.freed
        )
    }

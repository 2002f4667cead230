"""An object of one module that another writes to, through a pointer to what it has freed.

The other still has its address in a variable, and a function that goes through that variable writes
where the bad pointer was. Whose the object is now has done nothing wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.module_roles import (
    holding_variables,
    inner_functions,
)
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.use_after_free.anothers import Anothers, acquainted
from oopsight.evidence.use_after_free.claims import claim_of
from oopsight.plumbing import base_name
from oopsight.session import Session

if TYPE_CHECKING:
    from oopsight.evidence import Address
    from oopsight.evidence.flow.data_flow import DataFlow

_POINTER = 8


def stale_holder(session: Session, modules: Modules, flow: DataFlow | None) -> Anothers | None:
    """The object that the bad pointer was read from, if another module writes to it as to its own.

    That module is the one that had it before.
    """
    held = flow.first.held_in if flow is not None and flow.of_a_pointer else None
    one = held.slab if held is not None else None
    if flow is None or held is None or one is None or one.state != "allocated":
        return None
    if flow.bad is None or flow.bad.is_memory or flow.first.index is not None:
        return None
    reader = next((m for m in modules.loaded if m.name == flow.first.module and m.taints), None)
    offset = int(held.address) - int(one.address)
    for module, at, name, memory in holding_variables(
        session, modules, one.address, one.address + 1
    ):
        if reader is None or module.name == reader.name:
            continue
        claim = claim_of(session, modules, one, int(held.address), {module.name})
        if claim is None or claim.module.name != reader.name:
            continue
        writer = _writes(session, module, at, offset, zero=flow.bad.kind == "null")
        if writer is None or acquainted(session, modules, module, reader):
            continue
        return Anothers(
            role=f"{claim.text}, and {writer} of {module.name} writes to it",
            object=one,
            owner=reader.name,
            former=((module.name, f"its variable {name} still has its address", memory),),
        )
    return None


def _writes(
    session: Session, module: Module, at: Address, offset: int, *, zero: bool
) -> str | None:
    """A function that goes through a variable, and writes so far from a pointer.

    :param zero: whether what it writes there is to be zero
    """
    reader = SessionReader(session)
    code = inner_functions(session, module, reader)
    uses = uses_of(reader, code)
    place = range(offset, offset + _POINTER)
    for one in code:
        use = uses.get(base_name(one.name)) if int(at) in one.refers else None
        keys = (use.zeroes if zero else use.changes) if use is not None else ()
        if any(key in place for key in keys):
            return base_name(one.name)
    return None

"""The loaded module that kept a pointer to what a module that is gone had.

Modules register with each other, too: handlers, operations, subscriptions. When one is unloaded and
what it registered is still there, its exit function may have forgotten it, or the other's function
that takes such back may not have taken all. The file of the module that is gone tells whether it
calls such a function at all.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.former_owner import FormerOwner, imports_of
from oopsight.evidence.modules.module_roles import freers, inner_functions, takes_off_lists
from oopsight.evidence.modules.modules import Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_OUT_OF_TREE = "O"


@dataclass(frozen=True)
class PointerKeeper:
    """Whose code read the pointer from memory."""

    module: str
    function: str
    """Its function that read it."""
    known: bool
    """Whether it is known what the module that is gone called."""
    takes_back: tuple[str, ...]
    """Functions of the keeper that take entries off or free them, and that the other called."""


def collect(
    session: Session, flow: DataFlow, modules: Modules, former_owner: FormerOwner | Missing
) -> PointerKeeper | Missing:
    """Look whether the pointer was read by the code of another module from outside the tree."""
    way = flow.first
    module = next((one for one in modules.loaded if one.name == way.module), None)
    if isinstance(former_owner, Missing) or way.ended != "loaded":
        return Missing(Why.NOT_APPLICABLE, "no pointer to a module that is gone was read")
    if module is None or _OUT_OF_TREE not in module.taints:
        return Missing(Why.NOT_APPLICABLE, "no module from outside the tree read the pointer")
    imports = imports_of(session, former_owner.module)
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    uses = uses_of(reader, inner)
    called = [one for one in inner if base_name(one.name) in (imports or ())]
    unlink = {name for name, use in uses.items() if use.unlinks}
    unlink |= {base_name(one.name) for one in inner if takes_off_lists(one)} | {*freers(inner)}
    takes = tuple(base_name(one.name) for one in called if base_name(one.name) in unlink)
    return PointerKeeper(module.name, base_name(way.function), imports is not None, takes)

"""Which functions of other modules handed in the error code that a module kept as a pointer.

A module that keeps what it is handed, for whoever uses it, does not know what that is. Its code
tells which of its functions store an argument in the field; who calls these by name had it.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.address import error_number
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.dependencies import Dependencies
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST = 3
_MOST_KEEPERS = 3
"""More than so many that store something at an offset have to do with other objects, too."""


@dataclass(frozen=True)
class HandedIn:
    """The module that kept the pointer, and who called it."""

    keeper: str
    """Its function that stores what it is handed."""
    callers: tuple[tuple[str, str], ...]
    """Module and function."""


def collect(
    session: Session, flow: DataFlow, modules: Modules, needs: Dependencies
) -> HandedIn | Missing:
    """Read the code of the module that met the pointer, and of those that use it."""
    nothing = Missing(Why.NOT_APPLICABLE, "no error code was handed in by another module")
    way = flow.first
    home = next((one for one in modules.loaded if one.name == way.module), None)
    if way.ended != "loaded" or way.held_in is None or home is None or not home.taints:
        return nothing
    if not any(step.value is not None and error_number(step.value) for step in way.steps):
        return nothing
    users = [one for one in modules.loaded if one.taints and needs.has(one.name, home.name)]
    if not users:
        return nothing
    reader = SessionReader(session)
    uses = uses_of(reader, inner_functions(session, home, reader))
    keys = FieldKeys(way, uses)
    keepers = {
        name
        for name, use in uses.items()
        if any(one.given and one.key == keys.of(use) for one in use.stores)
    }
    if not 0 < len(keepers) <= _MOST_KEEPERS:
        return nothing
    callers = [
        (user.name, base_name(one.name))
        for user in users
        for one in inner_functions(session, user, reader)
        if keepers & one.outside
    ]
    if not callers:
        return nothing
    return HandedIn(min(keepers), tuple(dict.fromkeys(callers))[:_MOST])

"""Who had the kernel's own function run that met a hole in a module's table.

A driver chooses among the kernel's handlers, flow handlers of interrupts say, by handing over their
addresses; each wants other functions in the driver's table. Whoever hands over the address of one
has chosen it.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.module_roles import inner_functions, named
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session


@dataclass(frozen=True)
class ChosenHandler:
    """The kernel's function, and functions of the module whose table it is that hand it over."""

    handler: str
    module: str
    functions: tuple[str, ...]


def collect(session: Session, flow: DataFlow, modules: Modules) -> ChosenHandler | Missing:
    """Look for the address of the kernel's function in the code of the module."""
    way = flow.first
    owner = way.held_in.module if way.held_in is not None else None
    module = next((one for one in modules.loaded if one.name == owner), None)
    if flow.subject != "target" or way.module is not None or module is None:
        return Missing(Why.NOT_APPLICABLE, "the kernel called nothing from a module's table")
    try:
        handler = session.prog.symbol(way.function).address
    except LookupError:
        return Missing(Why.NO_SYMBOLS, f"where {way.function} lies is not known")
    choosing = named(
        one
        for one in inner_functions(session, module)
        if handler in one.refers and way.function not in one.calls
    )
    return ChosenHandler(way.function, module.name, choosing)

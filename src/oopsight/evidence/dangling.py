"""Pointers in the kernel's registries that lead into memory of modules that are gone.

Each is a crash waiting for whoever follows it next.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing
from oopsight.evidence.fault import Fault
from oopsight.evidence.modules import Modules
from oopsight.evidence.registries import Dangling, Look, search_all
from oopsight.session import Session

__all__ = ["Dangling", "DanglingPointers", "collect"]

MOST = 20_000
"""Pointers looked at in each registry."""
MOST_SUSPECTED = 400_000
"""The same where the fault itself lies among the modules."""


@dataclass(frozen=True)
class DanglingPointers:
    """What was found, and which registries could not be looked through."""

    found: tuple[Dangling, ...]
    unchecked: tuple[str, ...]


def collect(session: Session, modules: Modules, fault: Fault | Missing) -> DanglingPointers:
    """Look through the registries.

    A module that was never unloaded leaves nothing behind: then, and unless the fault lies where
    modules are loaded, the search is spared.
    """
    near = None
    if isinstance(fault, Fault):
        near = next((a for a in (fault.address, fault.pc) if a and modules.in_area(a)), None)
    if near is not None and modules.owner(near):
        near = None
    if near is None and modules.last_unloaded is None:
        return DanglingPointers((), ())
    look = Look(session.prog, modules, MOST if near is None else MOST_SUSPECTED, near=near)
    search_all(look)
    return DanglingPointers(tuple(look.found), tuple(look.unchecked))

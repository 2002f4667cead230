"""Pointers in the kernel's registries that lead into memory of modules that are gone.

Each is a crash waiting for whoever follows it next.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.modules.modules import Modules
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
    if not takes_long(modules, fault):
        return DanglingPointers((), ())
    near = _near(modules, fault)
    look = Look(session.prog, modules, MOST if near is None else MOST_SUSPECTED, near=near)
    search_all(look)
    return DanglingPointers(tuple(look.found), tuple(look.unchecked))


def takes_long(modules: Modules, fault: Fault | Missing) -> bool:
    """Whether there is anything to search for."""
    return _near(modules, fault) is not None or modules.last_unloaded is not None


def _near(modules: Modules, fault: Fault | Missing) -> int | None:
    """The bad address, where it lies in the modules' area and in no loaded module."""
    if isinstance(fault, Missing):
        return None
    near = next((a for a in (fault.address, fault.pc) if a and modules.in_area(a)), None)
    return None if near is None or modules.owner(near) else near

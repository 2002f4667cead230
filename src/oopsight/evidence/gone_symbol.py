"""The symbol of an unloaded module at the bad address, where the module's ``.ko`` is at hand."""

from __future__ import annotations

from dataclasses import dataclass

from oopsight.evidence import Missing, Why
from oopsight.evidence.fault import Fault
from oopsight.evidence.modules import Modules
from oopsight.session import Session
from oopsight.symbols.module_file import at_page_offset, find


@dataclass(frozen=True)
class GoneSymbol:
    """The only symbol of the module that can have been at the address."""

    module: str
    name: str


def collect(session: Session, fault: Fault, modules: Modules) -> GoneSymbol | Missing:
    """Compare the address with the module's file; an ambiguous answer is none."""
    if fault.address is None or not modules.in_area(fault.address) or not modules.last_unloaded:
        return Missing(Why.NOT_APPLICABLE, "the bad address is not one of an unloaded module")
    if modules.owner(fault.address):
        return Missing(Why.NOT_APPLICABLE, "a loaded module owns the bad address")
    files = find(modules.last_unloaded, session.debug_directories)
    names = at_page_offset(files, fault.address, functions=fault.access == "execute")
    if len(names) != 1:
        found = f"{len(names)} symbols fit" if names else "no .ko of it is at hand, or none fits"
        return Missing(Why.NO_SYMBOLS, f"{modules.last_unloaded}: {found}")
    return GoneSymbol(modules.last_unloaded, names[0])

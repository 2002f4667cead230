"""Which modules need which others, after the kernel's records."""

from __future__ import annotations

import itertools

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session
from oopsight.text import c_string, printable

_MOST_USED = 256


@dataclass(frozen=True)
class Dependencies:
    """Of the modules from outside the kernel's tree."""

    needs: tuple[tuple[str, str], ...]
    """A module, and one whose functions or data it refers to by name."""

    def has(self, one: str | None, other: str | None) -> bool:
        """Whether a module needs another."""
        return (one, other) in self.needs


def collect(session: Session, modules: Modules) -> Dependencies:
    """Read their lists."""
    foreign = [module.name for module in modules.loaded if "O" in module.taints]
    return Dependencies(
        tuple((name, other) for name in foreign for other in sorted(needs(session, name)))
    )


def needs(session: Session, name: str) -> set[str]:
    """The modules that a module depends on, be they the kernel's own.

    A subsystem that is a module hands the objects of one driver to the others.
    """
    from drgn import FaultError
    from drgn.helpers.linux.list import list_for_each_entry
    from drgn.helpers.linux.module import find_module

    try:
        module = find_module(session.prog, name)
        # struct module has target_list with CONFIG_MODULE_UNLOAD.
        head = module.target_list.address_of_() if module else None
        uses = list_for_each_entry("struct module_use", head, "target_list") if module else ()
        return {printable(c_string(use.target.name)) for use in itertools.islice(uses, _MOST_USED)}
    except (FaultError, LookupError, AttributeError, SymbolError):
        return set()

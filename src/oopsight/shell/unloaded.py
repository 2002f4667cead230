"""Modules that are gone, and what an address in the module area without an owner was.

The kernel remembers the name of the module unloaded last, and with
CONFIG_MODULE_UNLOAD_TAINT_TRACKING those of tainted ones; never where they lay. What lies around an
address is told, and a ``.ko`` at hand is compared with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Missing
from oopsight.evidence.modules.dangling import DanglingPointers
from oopsight.evidence.modules.former_owner import Spot
from oopsight.evidence.modules.former_owner import former_owner as former_owner_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.unloaded_modules import UnloadedModules
from oopsight.shell.output import readable_errors
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell

MOST_UNLOADED = 10_000


@dataclass(frozen=True)
class Former:
    """What an address in the module area was, as far as it can be told."""

    module: str | None
    symbol: str | None
    certain: bool
    """Whether the module is shown by the dump, not only likely."""
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Unloaded:
    """A module that is gone."""

    name: str
    taints: str
    count: int
    """How often it was unloaded, as far as the kernel counted."""
    last: bool


def unloaded_modules(shell: Shell) -> list[Unloaded]:
    """Modules that the kernel remembers to have unloaded, the last one first."""
    from drgn.helpers.linux.list import list_for_each_entry

    modules = shell.evidence.get(Modules)
    last = None if isinstance(modules, Missing) else modules.last_unloaded
    found: dict[str, Unloaded] = {}
    try:
        head = shell.prog["unloaded_tainted_modules"].address_of_()
        for number, entry in enumerate(
            list_for_each_entry("struct mod_unload_taint", head, "list")
        ):
            if number >= MOST_UNLOADED:
                break
            name = printable(c_string(entry.name))
            found[name] = Unloaded(name, f"{entry.taints.value_():#x}", entry.count.value_(), False)
    except readable_errors():
        pass
    if last:
        kept = found.pop(last, None)
        first = Unloaded(last, kept.taints if kept else "", kept.count if kept else 1, True)
        return [first, *found.values()]
    return list(found.values())


def former_owner(shell: Shell, address: int) -> Former:
    """What can be told of an address of the module area that no loaded module holds."""
    modules = shell.evidence.get(Modules)
    if isinstance(modules, Missing):
        return Former(None, None, False, (f"the module list cannot be read: {modules.detail}",))
    lines = []
    below = max((m for m in modules.loaded if m.base < address), key=lambda m: m.base, default=None)
    above = min((m for m in modules.loaded if m.base > address), key=lambda m: m.base, default=None)
    around = [f"{m.name} at {m.base:x}" for m in (below, above) if m]
    if around:
        lines.append("between " + " and ".join(around))
    last = modules.last_unloaded
    if last is None:
        lines.append("the dump names no unloaded module")
        return Former(None, None, False, tuple(lines))
    lines.append(f"the module unloaded last is {last}; the kernel does not keep where it lay")
    pointers = shell.evidence.get(DanglingPointers)
    if not isinstance(pointers, Missing):
        lines += [
            f"pointed to by {p.registry}: {p.label}; {p.memory.command} shows it"
            for p in pointers.found
            if p.target >> 12 == address >> 12
        ][:8]
    known = shell.evidence.get(UnloadedModules)
    gone = [] if isinstance(known, Missing) else [module.name for module in known.modules]
    owner = former_owner_of(shell.session, Spot(address, execute=None, modules=modules), gone)
    if isinstance(owner, Missing):
        return Former(last, None, False, tuple(lines))
    if owner.description:
        lines.append(f"what is left of {owner.module} in a free page: it lay here")
    if owner.symbol:
        lines.append(f"{owner.symbol} [{owner.module}] is what {owner.source} has there")
    lines += [f"not used: {refused}" for refused in owner.refused]
    shown = bool(owner.description) and owner.sure
    return Former(owner.module, owner.symbol, shown, tuple(lines))

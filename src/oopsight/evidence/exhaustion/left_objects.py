"""Objects that were left in a slab cache as it was to be destroyed, and who can have lost them.

``kmem_cache_destroy()`` complains of them, mostly as a module is unloaded. Whoever calls it did not
lose them, unless they are on the module's list still.
"""

from __future__ import annotations

import re
from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.log import Log
from oopsight.evidence.exhaustion.allocators import Allocators, allocating
from oopsight.evidence.exhaustion.losers import Losers, from_cache
from oopsight.evidence.exhaustion.object_links import links
from oopsight.evidence.modules.module_transition import ModuleTransition
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import LogPointer
from oopsight.kernel.slab_objects import slab_caches
from oopsight.session import Session
from oopsight.text import c_string

# mm/slub.c and mm/slab_common.c
_SAID = re.compile(
    r"BUG (?P<cache>\S+) ?\(.*\): Objects remaining "
    r"|kmem_cache_destroy (?P<destroyed>\S+): Slab cache still has objects"
)
_DESTROYS = ("kmem_cache_destroy", "__kmem_cache_shutdown")
_MOST_CACHES = 4096


@dataclass(frozen=True)
class LeftObjects:
    """What the kernel complained of."""

    cache: str
    line: LogPointer
    losers: Losers | None
    """Functions of the module that can have lost them; ``None``: its code does not tell."""


def collect(
    session: Session,
    log: Log,
    modules: Modules | Missing,
    transition: ModuleTransition | Missing,
    backtrace: Backtrace,
) -> LeftObjects | Missing:
    """Find the cache by its name, and read the code of the module that destroys it."""
    rows = log.lines if any(f.function in _DESTROYS for f in backtrace.frames) else ()
    said = next(((m, row) for row in reversed(rows) if (m := _SAID.search(row.text))), None)
    if said is None:
        return Missing(Why.NOT_APPLICABLE, "no cache was destroyed with objects in it")
    match, line = said
    name = match["cache"] or match["destroyed"]
    module = _destroying(modules, transition, backtrace)
    losers = None
    if module is not None and isinstance(modules, Modules):
        losers = _losers(session, modules, module, name)
    return LeftObjects(name, line, losers)


def _destroying(
    modules: Modules | Missing,
    transition: ModuleTransition | Missing,
    backtrace: Backtrace,
) -> Module | None:
    """The module on the stack, or that is on its way out."""
    if isinstance(modules, Missing):
        return None
    name = next((call.module for call in backtrace.blamable if call.module is not None), None)
    if name is None and isinstance(transition, ModuleTransition):
        name = transition.module
    return next((one for one in modules.loaded if one.name == name), None)


def _losers(session: Session, modules: Modules, module: Module, name: str) -> Losers | None:
    from drgn import FaultError

    try:
        for cache in slab_caches(session.prog, _MOST_CACHES):
            if c_string(cache.name) == name.encode():
                return _of_cache(session, modules, module, cache)
    except (FaultError, LookupError, AttributeError, ValueError, SymbolError):
        pass
    return None


def _of_cache(session: Session, modules: Modules, module: Module, cache: Any) -> Losers | None:
    size = int(cache.object_size.value_())
    functions, whole = allocating(session, modules, module, int(cache.value_()), size)
    if not functions:
        return None
    allocators = Allocators(module.name, functions, whole, module.pointer)
    state = links(session.prog, cache, few=True)
    found = from_cache(session, modules, module, allocators, state)
    return None if isinstance(found, Missing) else found

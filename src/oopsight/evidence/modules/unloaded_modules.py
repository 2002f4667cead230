"""Modules that were unloaded before the crash, as far as the kernel and its log remember them."""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing
from oopsight.evidence.crash.log import Log
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import LogPointer, ModulePointer

# The kernel itself says these of a module that is being loaded: kernel/module/main.c, signing.c.
_LOADING = re.compile(
    r"^(\w+): (?:loading out-of-tree module taints kernel"
    r"|module verification failed: |module license .* taints kernel)"
)
_LAST = re.compile(r"\[last unloaded: ([\w-]{1,64})")


@dataclass(frozen=True)
class UnloadedModule:
    """A module that is not there any more."""

    name: str
    taints: str | None
    """Its own taint letters where the kernel kept them."""
    known_from: str
    because: ModulePointer | LogPointer


@dataclass(frozen=True)
class UnloadedModules:
    """The last one unloaded first; the order of the others is not known."""

    modules: tuple[UnloadedModule, ...]


def _from_log(log: Log) -> list[tuple[str, str, LogPointer]]:
    found = []
    for line in log.lines:
        match = _LOADING.match(line.text)
        if match:
            found.append((match[1], "it was loaded, and is not any more", line))
        match = _LAST.search(line.text)
        if match:
            found.append((match[1], "a crash report calls it the last one unloaded", line))
    return found


def collect(modules: Modules, log: Log | Missing) -> UnloadedModules:
    """Put together what the kernel keeps and what the log tells."""
    found: dict[str, UnloadedModule] = {}
    last = modules.last_unloaded_pointer
    if last is not None:
        found[last.name] = UnloadedModule(last.name, None, "last_unloaded_module", last)
    for name, taints in modules.unloaded_tainted:
        pointer = ModulePointer(name, loaded=False, base=None)
        found.setdefault(name, UnloadedModule(name, taints, "unloaded_tainted_modules", pointer))
    loaded = {module.name for module in modules.loaded}
    for name, why, line in _from_log(log) if isinstance(log, Log) else ():
        if name not in loaded or "last one unloaded" in why:
            found.setdefault(name, UnloadedModule(name, None, why, line))
    return UnloadedModules(tuple(found.values()))

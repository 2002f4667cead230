"""An area of vmalloc that the kernel was to copy from or to, and that is none any more.

The kernel's check of copies to and from processes looks the area up before it copies. What had the
pointer, a file of debugfs for one, may have no function of a module on the stack.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.log import Log
from oopsight.evidence.modules.module_roles import area_freers, inner_functions, named
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import LogPointer
from oopsight.session import Session

_SAID = ("from vmalloc 'no area'", "to vmalloc 'no area'")
"""mm/usercopy.c, check_heap_object()."""


@dataclass(frozen=True)
class GoneArea:
    """What the kernel said, and who gives such areas back."""

    line: LogPointer
    module: str
    """The only module from outside the kernel's tree that does."""
    frees: tuple[str, ...]
    """Its functions that do, initialisation and exit left out."""


def collect(session: Session, log: Log, modules: Modules) -> GoneArea | Missing:
    """Read the code of the modules, where the kernel's check found no area."""
    line = log.find(*_SAID)
    if line is None:
        return Missing(Why.NOT_APPLICABLE, "no copy was to an area of vmalloc that is gone")
    found = {
        module.name: named(area_freers(inner_functions(session, module)))
        for module in modules.loaded
        if module.taints
    }
    able = {name: frees for name, frees in found.items() if frees}
    if len(able) != 1:
        return Missing(Why.NOT_APPLICABLE, "no module, or several, give areas of vmalloc back")
    ((name, frees),) = able.items()
    return GoneArea(line, name, frees)

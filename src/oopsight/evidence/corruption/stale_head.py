"""A list's head that leads to entries which are on it no longer, one of them deleted meanwhile.

As in :mod:`~oopsight.evidence.corruption.two_lists` all entries were moved to another list and the
head was not emptied. Whoever then took one of them off there left poison in it.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.corruption.two_lists import splicers
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session


@dataclass(frozen=True)
class StaleHead:
    """The module that worked on the list, and who may have moved its entries away."""

    module: str
    functions: tuple[str, ...]


def collect(
    session: Session, report: ListReport, modules: Modules, backtrace: Backtrace
) -> StaleHead | Missing:
    """Look where the head leads to which an entry was to be added."""
    nothing = Missing(Why.NOT_APPLICABLE, "no list's head is seen to have been left behind")
    was = report.entry("was")
    if was is None or was.owner.is_memory:
        return nothing
    name = next((frame.module for frame in backtrace.blamable if frame.module), None)
    module = next((one for one in modules.loaded if one.name == name and one.taints), None)
    found = splicers(session, module, report) if module is not None else ()
    return StaleHead(module.name, found) if module is not None and found else nothing

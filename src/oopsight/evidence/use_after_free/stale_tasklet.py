"""A tasklet that was freed, with its object, while it was scheduled.

The softirq takes the whole list of its CPU off and goes along it, so that nothing leads to where it
met a bad pointer. But what it could not run, as one that is disabled, or so it seems, it has put
back on that list before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.use_after_free.anothers import entry_given_away
from oopsight.evidence.use_after_free.callback_registries import registry_of
from oopsight.kernel.tasklets import scheduled
from oopsight.plumbing import base_name

if TYPE_CHECKING:
    from oopsight.evidence.flow.data_flow import DataFlow
    from oopsight.evidence.memory.owner import SlabObject
    from oopsight.evidence.modules.modules import Modules
    from oopsight.evidence.use_after_free.anothers import Anothers
    from oopsight.session import Session

_RUNS = ("tasklet_action_common", "tasklet_action", "tasklet_hi_action")


def stale_tasklet(
    session: Session, modules: Modules, flow: DataFlow | None
) -> tuple[str, SlabObject, int, Anothers | None] | None:
    """What a scheduled tasklet lay in, where in that, and whose it is, if it was given away.

    Of memory in use only what is another module's: it may have been run over instead.
    """
    if flow is None or flow.bad is None or flow.bad.is_memory or not flow.of_a_pointer:
        return None
    registry = registry_of(flow.first)
    if base_name(flow.first.function) not in _RUNS or registry is None:
        return None
    for name, tasklet in scheduled(session.prog):
        at = tasklet.value_()
        slab = owner_of(session, modules, at).slab
        if slab is None:
            continue
        role = f"it is on the list {name} of scheduled tasklets"
        if slab.freed:
            return role, slab, at - slab.address, None
        if _runs(session, tasklet):
            continue
        foreign = entry_given_away(session, modules, slab, at, registry)
        if foreign is not None:
            return foreign.role, slab, at - slab.address, foreign
    return None


def _runs(session: Session, tasklet: Any) -> bool:
    """Whether it names a function."""
    from drgn import FaultError

    try:
        function = tasklet.func.value_()
        return bool(session.prog.symbol(function).address == function)
    except (FaultError, LookupError):
        return False

"""Which functions of a module write to the field that a bad function pointer was read from."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.state_writers import StateWriters, writers_of
from oopsight.session import Session

_PROGRAM = ("module", "kernel")


@dataclass(frozen=True)
class TargetWriters:
    """The field, who writes to it, and what its pointer leads to."""

    state: StateWriters
    to_data: bool
    """Whether it leads to data of a module or of the kernel: somebody took that for a function.
    Else it is no pointer at all, and may have been meant as something else."""


def collect(session: Session, flow: DataFlow, modules: Modules) -> TargetWriters | Missing:
    """Read the code of the module that called."""
    target = flow.first.value
    if flow.subject != "target" or flow.first.ended != "loaded" or not target:
        return Missing(Why.NOT_APPLICABLE, "no function pointer that was kept was bad")
    state = writers_of(session, flow.first, modules)
    if state is None or not state.functions:
        return Missing(Why.NOT_APPLICABLE, "no other function of a module writes to that pointer")
    return TargetWriters(state, owner_of(session, modules, target).kind in _PROGRAM)

"""RCU's grace period: whether one is in progress, and which CPUs keep it from ending."""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.pointers import Memory
from oopsight.evidence.slab_caches import memory_of
from oopsight.evidence.symptom import Symptom
from oopsight.kinds import Kind
from oopsight.session import Session

_MOST_CPUS = 4096
_STATE_MASK = 0x3  # RCU_SEQ_STATE_MASK, kernel/rcu/rcu.h


@dataclass(frozen=True)
class Debt:
    """A CPU that has not yet passed through a quiescent state."""

    cpu: int
    because: tuple[Memory, ...]


@dataclass(frozen=True)
class GracePeriod:
    """The grace period of normal RCU."""

    in_progress: bool
    owing: tuple[Debt, ...]


def collect(session: Session, symptom: Symptom) -> GracePeriod | Missing:
    """Read each CPU's bit in its leaf of RCU's tree."""
    if symptom.kind not in (Kind.RCU_STALL, Kind.SOFT_LOCKUP, Kind.HUNG_TASK):
        return Missing(Why.NOT_APPLICABLE, f"{symptom.kind} does not come from RCU")
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_present_cpu
    from drgn.helpers.linux.percpu import per_cpu

    prog = session.prog
    owing = []
    progress = False
    for cpu in list(for_each_present_cpu(prog))[:_MOST_CPUS]:
        try:
            data: Any = per_cpu(prog["rcu_data"], cpu)
            leaf = data.mynode.read_()
            progress = progress or bool(leaf.gp_seq.value_() & _STATE_MASK)
            if leaf.qsmask.value_() & data.grpmask.value_():
                because = (
                    memory_of(leaf, "qsmask"),
                    memory_of(data.address_of_(), "grpmask"),
                )
                owing.append(Debt(cpu, because))
        except FaultError:
            continue
    return GracePeriod(progress, tuple(owing))

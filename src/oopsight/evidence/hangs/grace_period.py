"""RCU's grace period: whether one is in progress, which CPUs and tasks keep it from ending."""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Memory
from oopsight.kernel.rcu_readers import blocking_readers
from oopsight.kinds import Kind
from oopsight.session import Session

_MOST_CPUS = 4096
_MOST_READERS = 16
_STATE_MASK = 0x3  # RCU_SEQ_STATE_MASK, kernel/rcu/rcu.h


@dataclass(frozen=True)
class Debt:
    """A CPU that has not yet passed through a quiescent state."""

    cpu: int
    because: tuple[Memory, ...]


@dataclass(frozen=True)
class Reader:
    """A task that sleeps, or was preempted, within a read section that the grace period awaits."""

    stack: TaskStack
    because: tuple[Memory, ...]


@dataclass(frozen=True)
class GracePeriod:
    """The grace period of normal RCU."""

    in_progress: bool
    owing: tuple[Debt, ...]
    readers: tuple[Reader, ...] = ()


def collect(
    session: Session, symptom: Symptom, modules: Modules | Missing
) -> GracePeriod | Missing:
    """Read each CPU's bit in its leaf of RCU's tree, and the readers on the leaf's list."""
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
    return GracePeriod(progress, tuple(owing), _readers(session, modules))


def _readers(session: Session, modules: Modules | Missing) -> tuple[Reader, ...]:
    from drgn import FaultError

    reader = StackReader(session, modules)
    found: dict[int, Reader] = {}
    for task, leaf, member in blocking_readers(session.prog):
        if len(found) >= _MOST_READERS:
            break
        try:
            because = (memory_of(leaf, member), memory_of(task, "rcu_node_entry.next"))
            found.setdefault(task.value_(), Reader(reader.read(task), because))
        except FaultError:
            continue
    return tuple(found.values())

"""A thread's task that has ended, to which a module still has the pointer.

The memory is that of another task by then: a process, or a thread that runs somebody else's
function. What stops, parks or binds threads takes what a module started itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.errors import SymbolError
from oopsight.evidence.memory.owner import owner_of
from oopsight.plumbing import base_name
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oopsight.evidence.flow.data_flow import DataFlow
    from oopsight.evidence.memory.owner import SlabObject
    from oopsight.evidence.modules.modules import Modules
    from oopsight.session import Session

_OF_THREADS = (
    *("kthread_stop", "kthread_stop_put", "kthread_park", "kthread_unpark", "kthread_bind"),
    *("kthread_bind_mask", "kthread_data", "kthread_func", "kthread_probe_data"),
)
"""Functions that take a thread of the kernel, which the caller has started."""
_PF_KTHREAD = 0x00200000
_MOST_WAYS = 3
_CACHE = "task_struct"


def ended_thread(
    session: Session, modules: Modules, flow: DataFlow | None
) -> tuple[str, SlabObject] | None:
    """The task that a module had the kernel take for a thread of its own, and what it is now."""
    for function, module, value in _handed(flow):
        mine = next((one for one in modules.loaded if one.name == module and one.taints), None)
        slab = owner_of(session, modules, value).slab if mine is not None else None
        if mine is None or slab is None or slab.address != value or slab.cache != _CACHE:
            continue
        role = f"{mine.name} had {function} take it for a thread of its own"
        if slab.freed:
            return role, slab
        is_now = _another(session, value)
        if is_now is not None and not mine.holds(is_now[1]):
            return f"{role}, and it is {is_now[0]} now", slab
    return None


def _handed(flow: DataFlow | None) -> Iterator[tuple[str, str | None, int]]:
    """What functions for threads were given: the function, by whose module, and what."""
    inner = flow.checker or "" if flow is not None else ""
    for way in flow.ways[:_MOST_WAYS] if flow is not None else ():
        for step in way.steps:
            if step.how == "passed" and step.value is not None and base_name(inner) in _OF_THREADS:
                yield base_name(inner), step.module, int(step.value)
            inner = step.function
        inner = way.function  # the pointer through which it was read was used there


def _another(session: Session, address: int) -> tuple[str, int] | None:
    """What a task is, in words, and what it runs; a process runs nothing of the kernel's."""
    from drgn import FaultError, Object

    try:
        task = Object(session.prog, "struct task_struct", address=address)
        name = printable(c_string(task.comm))
        if not task.flags.value_() & _PF_KTHREAD:
            return f"the process {name} ({task.pid.value_()})", 0
        return f"the thread {name}", _runs(task)
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None


def _runs(task: Any) -> int:
    from drgn.helpers.linux.kthread import to_kthread

    return int(to_kthread(task.address_of_()).threadfn.value_())

"""Checks of the kernel that fail where somebody sleeps, or may come to, and must not.

Where the kernel calls it by that name in its log, the symptom tells; these are a WARN() or a BUG()
like any other.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.pointers import FramePointer
from oopsight.plumbing import base_name

RCU, INTERRUPT, IRQS = "rcu", "interrupt", "irqs"
_CHECKS = {
    # kernel/rcu/tree_plugin.h: "Voluntary context switch within RCU read-side critical section!"
    "rcu_note_context_switch": RCU,
    # mm/vmalloc.c: BUG_ON(in_interrupt()), for vmalloc(), ioremap() and vmap().
    "__get_vm_area_node": INTERRUPT,
    # kernel/dma/mapping.c: WARN_ON(irqs_disabled()), as it may have to unmap.
    "dma_free_attrs": IRQS,
}
"""Functions all of whose checks are of that, and within what they must not be called."""


@dataclass(frozen=True)
class ForbiddenSleep:
    """A check that failed for that."""

    function: str
    within: str
    """:data:`RCU`, a read section; :data:`INTERRUPT`, or with bottom halves off; :data:`IRQS`, with
    interrupts off."""
    frame: FramePointer


def collect(fault: Fault) -> ForbiddenSleep | Missing:
    """Look the function up whose check stopped the machine."""
    name = base_name(fault.function)
    checked = fault.exception == INVALID_OPCODE and fault.module is None
    within = _CHECKS.get(name) if checked else None
    if within is None:
        return Missing(Why.NOT_APPLICABLE, "no check failed that is against sleeping")
    return ForbiddenSleep(name, within, fault.frame)

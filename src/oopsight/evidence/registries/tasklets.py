"""Tasklets and irq_work that are scheduled, of all CPUs."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "tasklet or irq_work"
REGISTERS = ("__tasklet_*schedule", "irq_work_queue*")

_HEAD, _TASKLET, _WORK = "struct tasklet_head", "struct tasklet_struct", "struct irq_work"


def search(look: Look) -> None:
    """``tasklet_schedule()`` and ``irq_work_queue()`` leave them."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    for cpu in for_each_possible_cpu(look.prog):
        for name in ("tasklet_vec", "tasklet_hi_vec"):
            with look.part(f"{name} of CPU {cpu}"):
                head = (_HEAD, per_cpu(look.variable(name, _HEAD), cpu).address_, "head")
                for tasklet in look.chain(head, (_TASKLET, "next"), "tasklet"):
                    look.at(_TASKLET, tasklet, "func", "tasklet")
        for name in ("raised_list", "lazy_list"):
            with look.part(f"{name} of CPU {cpu}"):
                raised = per_cpu(look.variable(name, "struct llist_head"), cpu)
                node = "node.llist" if look.has(_WORK, "node.llist") else "llnode"
                head = ("struct llist_head", raised.address_, "first")
                link = (_WORK, f"{node}.next")
                for work in look.chain(head, link, "irq_work", embedded=True):
                    look.at(_WORK, work, "func", "irq_work")

"""Tasks that sleep, or were preempted, inside ``rcu_read_lock()``: RCU lists them itself.

Only kernels with ``CONFIG_PREEMPT_RCU``, which all with dynamic preemption are; elsewhere a reader
that does not end keeps its CPU busy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_MOST_CPUS = 4096
_MOST_READERS = 1000


def leaves(prog: Any) -> Iterator[Any]:
    """The leaves of RCU's tree, each once: ``struct rcu_node *``.

    Found from each CPU's own data, whose type is known even without debug information.
    """
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_present_cpu
    from drgn.helpers.linux.percpu import per_cpu

    seen: set[int] = set()
    for cpu in list(for_each_present_cpu(prog))[:_MOST_CPUS]:
        try:
            leaf = per_cpu(prog["rcu_data"], cpu).mynode.read_()
        except FaultError:
            continue
        if leaf.value_() not in seen:
            seen.add(leaf.value_())
            yield leaf


def blocking_readers(prog: Any) -> Iterator[tuple[Any, Any, str]]:
    """Tasks that keep the grace period in progress from ending.

    :return: ``struct task_struct *``, the ``struct rcu_node *`` on whose list it is, and the member
        of it, ``gp_tasks`` or ``exp_tasks``, that says from where on they block
    """
    from drgn import FaultError, container_of

    for leaf in leaves(prog):
        for member in ("gp_tasks", "exp_tasks"):
            try:
                first = leaf.member_(member).read_()
                end = leaf.blkd_tasks.address_of_().value_()
            except (FaultError, LookupError):
                continue
            entry, count = first, 0
            while entry and entry.value_() != end and count < _MOST_READERS:
                count += 1
                try:
                    yield container_of(entry, "struct task_struct", "rcu_node_entry"), leaf, member
                    entry = entry.next.read_()
                except (FaultError, LookupError):
                    break

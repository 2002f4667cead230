"""RCU callbacks that wait for their grace period, of all CPUs."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "RCU callback"
REGISTERS = ("call_rcu*", "call_srcu", "queue_rcu_work")

_HEAD, _DATA = "struct callback_head", "struct rcu_data"


def search(look: Look) -> None:
    """``call_rcu()`` leaves them; a module has to wait with ``rcu_barrier()``."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    variable = look.variable("rcu_data", _DATA)
    for cpu in for_each_possible_cpu(look.prog):
        head = (_DATA, per_cpu(variable, cpu).address_, "cblist.head")
        with look.part(f"RCU callbacks of CPU {cpu}"):
            for callback in look.chain(head, (_HEAD, "next"), "RCU callback"):
                look.at(_HEAD, callback, "func", "RCU callback")

"""Pending high-resolution timers of all CPUs."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "high-resolution timer"
REGISTERS = ("hrtimer_start*",)

_TIMER = "struct hrtimer"


def search(look: Look) -> None:
    """``hrtimer_start()`` leaves them."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    # Private since 6.15: only hrtimer_setup() shall set it.
    function = "function" if look.has(_TIMER, "function") else "_function"
    bases = look.variable("hrtimer_bases")
    for cpu in for_each_possible_cpu(look.prog):
        for clock in per_cpu(bases, cpu).clock_base:
            head = ("struct hrtimer_clock_base", clock.address_, "active.rb_root.rb_root.rb_node")
            with look.part(f"high-resolution timers of CPU {cpu}"):
                for timer in look.tree(head, (_TIMER, "node.node"), THING):
                    look.at(_TIMER, timer, function, THING)

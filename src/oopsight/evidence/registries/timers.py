"""Pending timers on the timer wheel, and the work of delayed work items."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "timer"
REGISTERS = ("add_timer*", "mod_timer*", "timer_reduce", "queue_delayed_work*", "mod_delayed_work*")

_BASE, _TIMER, _DELAYED = "struct timer_base", "struct timer_list", "struct delayed_work"


def search(look: Look) -> None:
    """``mod_timer()`` and ``queue_delayed_work()`` leave them."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    bases = look.variable("timer_bases")
    delayed = look.symbol("delayed_work_timer_fn")
    for cpu in for_each_possible_cpu(look.prog):
        for base in per_cpu(bases, cpu):
            with look.part(f"timers of CPU {cpu}"):
                _search_base(look, base.address_, len(base.vectors), delayed)


def _search_base(look: Look, base: int, buckets: int, delayed: int | None) -> None:
    first = look.words(base + look.offset(_BASE, "vectors"), buckets)
    for bucket, timer in enumerate(first):
        if not timer:
            continue
        head = (_BASE, base, f"vectors[{bucket}]")
        for entry in look.hash_list(head, (_TIMER, "entry"), "timer"):
            function = look.at(_TIMER, entry, "function", "timer")
            if delayed and function == delayed:
                work = entry - look.offset(_DELAYED, "timer")
                look.at(_DELAYED, work, "work.func", "delayed work")

"""Tasklets that are scheduled: the lists of all CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oopsight.errors import SymbolError

_LISTS = ("tasklet_vec", "tasklet_hi_vec")
_MOST = 1024
"""Of one list."""


def scheduled(prog: Any) -> Iterator[tuple[str, Any]]:
    """The list, and the ``struct tasklet_struct *`` on it; what cannot be read is left out."""
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    for cpu in for_each_possible_cpu(prog):
        for name in _LISTS:
            try:
                for tasklet in _along(per_cpu(prog[name], cpu).head):
                    yield name, tasklet
            except (FaultError, LookupError, AttributeError, SymbolError):
                continue


def _along(tasklet: Any) -> Iterator[Any]:
    for _ in range(_MOST):
        tasklet = tasklet.read_()
        if not tasklet:
            return
        yield tasklet
        tasklet = tasklet.next

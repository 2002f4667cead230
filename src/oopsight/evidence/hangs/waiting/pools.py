"""Pools of workers of one CPU, in which a work item that runs without end lets no other begin.

As long as one of its workers runs, and does not sleep, such a pool starts no further item:
Documentation/core-api/workqueue.rst.
"""

from __future__ import annotations

from typing import Any

from oopsight.evidence.hangs.stacks import task_pointer
from oopsight.evidence.hangs.waiting import Holder
from oopsight.kernel.blocked_tasks import task_state

_NOT_RUNNING = 0x8 | 0x40 | 0x80 | 0x100
"""kernel/workqueue.c: WORKER_PREP, WORKER_CPU_INTENSIVE, WORKER_UNBOUND, WORKER_REBOUND. Since
Linux 6.5 (commit 616db8779b1e) whoever runs for long is made intensive, and in nobody's way."""
_LONG = 250
"""Ticks for which the pool has begun nothing: at least a quarter of a second."""


def held_up(workers: list[Any], pool: Any) -> list[Holder]:
    """Workers that keep a CPU's pool from beginning what waits in it.

    :param workers: ``struct worker *`` of all that carry out an item
    :param pool: ``struct worker_pool *``
    """
    from drgn import FaultError

    found: list[Holder] = []
    try:
        if pool.cpu.value_() < 0 or not _for_long(pool):
            return []
    except FaultError:
        return []
    for worker in workers:
        try:
            mine = worker.pool.value_() == pool.value_()
            if mine and not worker.flags.value_() & _NOT_RUNNING and _runs(worker.task):
                found.append(Holder(task_pointer(worker.task), alive=True, known_by="pool"))
        except FaultError:
            continue
    return found


def _runs(task: Any) -> bool:
    """Whether it runs, or would if its CPU had not been given to another."""
    return not task_state(task) and bool(task.on_rq.value_())


def _for_long(pool: Any) -> bool:
    """Whether the pool has begun no item lately; it has where the kernel does not keep that."""
    try:
        began = pool.watchdog_ts.value_()
    except AttributeError:  # without CONFIG_WQ_WATCHDOG
        return True
    now = pool.prog_["jiffies_64"].value_()
    return bool((now - began) & ((1 << 64) - 1) >= _LONG)

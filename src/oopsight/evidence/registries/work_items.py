"""Work that is queued, waits for its turn, or is being carried out, on all workqueues."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "work item"
REGISTERS = ("queue_*work*", "mod_delayed_work*", "schedule_*work*")

_WORK, _POOL, _PWQ = "struct work_struct", "struct worker_pool", "struct pool_workqueue"
_WORKER, _QUEUE = "struct worker", "struct workqueue_struct"


def search(look: Look) -> None:
    """``queue_work()`` leaves it; ``cancel_work_sync()`` or ``flush_work()`` waits for it."""
    idr = look.variable("worker_pool_idr", "struct idr").address_
    for address in look.xarray(("struct idr", idr, "idr_rt"), "worker pool"):
        with look.part(f"work of pool {address:#x}"):
            for work in look.entries((_POOL, address, "worklist"), (_WORK, "entry"), THING):
                look.at(_WORK, work, "func", THING)
            for worker in look.entries((_POOL, address, "workers"), (_WORKER, "node"), "worker"):
                look.at(_WORKER, worker, "current_func", THING)
                look.at(_WORKER, worker, "current_work", THING)
    inactive = "inactive_works" if look.has(_PWQ, "inactive_works") else "delayed_works"
    head = ("struct list_head", look.variable("workqueues", "struct list_head").address_, "")
    for queue in look.entries(head, (_QUEUE, "list"), "workqueue"):
        with look.part(f"waiting work of workqueue {queue:#x}"):
            for pwq in look.entries((_QUEUE, queue, "pwqs"), (_PWQ, "pwqs_node"), "workqueue"):
                for work in look.entries((_PWQ, pwq, inactive), (_WORK, "entry"), THING):
                    look.at(_WORK, work, "func", THING)

"""``struct completion``: nobody holds it; somebody should have completed it.

Much of the kernel waits by a completion for something more definite: a work item, a grace period, a
thread's end. What encloses the completion tells.
"""

from __future__ import annotations

import contextlib
from typing import Any

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Holder, Lock, grace_period, users
from oopsight.evidence.hangs.waiting.pools import held_up
from oopsight.evidence.hangs.waiting.scan import Scan
from oopsight.evidence.pointers import Memory
from oopsight.text import c_string

FUNCTIONS = (
    "wait_for_completion*",
    "__wait_for_common",
    "wait_for_common*",
    "__flush_work*",
    "flush_work*",
    "__flush_workqueue",
    "flush_workqueue",
    "synchronize_rcu*",
    "__wait_rcu_gp",
    "synchronize_srcu*",
    "__synchronize_srcu*",
    "rcu_barrier",
    "kthread_stop",
)
# For what of a thread's they wait, by the member of ``struct kthread``.
_THREADS = ("kthread_stop", "kthread_park")
_THREADS_DO = {"exited": "to end", "parked": "to park"}
_PWQ_FLAGS = 0xFF  # include/linux/workqueue.h: WORK_STRUCT_FLAG_MASK, at most eight bits
_IS_PWQ = 0x4
_UNBOUND = 0x2  # WQ_UNBOUND
_WORKER = 0x20  # PF_WQ_WORKER


# The waiter's structure with its members for task and list, and the list's head in the completion.
_QUEUES = (
    ("struct swait_queue", "task", "task_list", "wait.task_list"),
    # Before Linux 5.7 (commit a5c6234e1028).
    ("struct wait_queue_entry", "private", "entry", "wait.head"),
)


def find(scan: Scan) -> Lock | None:
    """The completion on whose queue the task is, and what has it."""
    for name, task, node, queue in _QUEUES:
        shape = scan.shape(name, task, node)
        offset = scan.offset("struct completion", queue)
        if shape is None or offset is None:
            continue
        for waiter in scan.waiters(shape):
            head = scan.head(shape, waiter.node)
            done = scan.memory("struct completion", head - offset, "done") if head else None
            if head is not None and done is not None:
                return _meaning(scan, head - offset, done)
    return None


def _meaning(scan: Scan, completion: int, done: Memory) -> Lock:
    inside = scan.stack.inside
    if inside("__flush_work*", "flush_work*", "__cancel_work*", "cancel_*work_sync"):
        barrier = _barrier(scan, completion)
        if barrier is not None:
            return barrier
    if inside("kthread_flush_work*", "__kthread_cancel_work*"):
        worker = _kthread_worker(scan, completion)
        if worker is not None:
            return worker
    if inside("synchronize_srcu*", "__synchronize_srcu*"):
        return grace_period.of_srcu(scan, completion, done)
    if inside("synchronize_rcu*", "__wait_rcu_gp", "synchronize_net", "rcu_barrier"):
        return grace_period.of_rcu(scan, completion, done)
    if inside("__flush_workqueue", "flush_workqueue", "drain_workqueue", "destroy_workqueue"):
        queue = _flushed_queue(scan, completion)
        if queue is not None:
            return queue
    file = users.of_completion(scan, completion)
    if file is not None:
        return file
    if inside(*_THREADS):
        thread = _thread(scan, completion)
        if thread is not None:
            return thread
    return Lock("completion", Address(completion), scan.name(completion), because=(done,))


def _barrier(scan: Scan, completion: int) -> Lock | None:
    """The work item behind which ``flush_work()`` has put a barrier, and who carries it out."""
    from drgn import FaultError, Object

    offset = scan.offset("struct wq_barrier", "done")
    if offset is None:
        return None
    barrier = Object(scan.prog, "struct wq_barrier *", completion - offset)
    try:
        data = barrier.work.data.counter.value_()
    except FaultError:
        return None
    if not data & _IS_PWQ:
        return None
    pwq = data & ~_PWQ_FLAGS & ((1 << 64) - 1)
    work = barrier.work.address_of_().value_()
    memory = scan.memory("struct work_struct", work, "data")
    exact = _carrying_out(scan, barrier.work.entry.address_of_().value_())
    return _queue(scan, pwq, completion, (memory,) if memory else (), exact)


def _kthread_worker(scan: Scan, completion: int) -> Lock | None:
    """The thread that carries out a ``kthread_worker``'s items, this task's own among them."""
    from drgn import FaultError

    from oopsight.evidence.hangs.stacks import task_pointer

    offset = scan.offset("struct kthread_flush_work", "done")
    if offset is None:
        return None
    work = scan.object("struct kthread_flush_work", completion - offset).work.address_of_()
    try:
        holder = Holder(task_pointer(work.worker.task.read_()), alive=True, known_by="worker")
    except FaultError:
        return None
    link = scan.memory("struct kthread_work", work.value_(), "worker")
    return Lock(
        "work",
        Address(completion),
        f"on kthread_worker {holder.task.comm}",
        holders=(holder,),
        because=(link,) if link else (),
    )


def _flushed_queue(scan: Scan, completion: int) -> Lock | None:
    """The workqueue that has this flusher."""
    from drgn import FaultError

    offset = scan.offset("struct wq_flusher", "done")
    if offset is None:
        return None
    flusher = completion - offset
    for worker in busy_workers(scan.prog):
        try:
            queue = worker.current_pwq.wq
            if queue.first_flusher.value_() == flusher:
                first = scan.memory("struct workqueue_struct", queue.value_(), "first_flusher")
                pwq = worker.current_pwq.value_()
                return _queue(scan, pwq, completion, (first,) if first else ())
        except FaultError:
            continue
    return None


def _carrying_out(scan: Scan, entry: int) -> Any:
    """The worker on whose list of scheduled items the barrier is: it carries out the one before.

    :return: ``struct worker *``; ``None`` where the item before is still waiting its turn
    """
    from drgn import FaultError

    ring = set(scan.ring(entry))
    for worker in busy_workers(scan.prog):
        try:
            if worker.scheduled.address_of_().value_() in ring:
                return worker
        except FaultError:
            continue
    return None


def _queue(
    scan: Scan, pwq: int, completion: int, because: tuple[Memory, ...], exact: Any = None
) -> Lock:
    """A work item on a queue: those which carry out the queue's items hold it up."""
    from drgn import FaultError, Object

    from oopsight.evidence.hangs.stacks import task_pointer
    from oopsight.text import printable

    holders = []
    memories = list(because)
    name = None
    with contextlib.suppress(FaultError):
        name = printable(c_string(Object(scan.prog, "struct pool_workqueue *", pwq).wq.name))
    ahead = [] if exact is not None else _in_pool(scan, pwq)
    for worker in [] if ahead else busy_workers(scan.prog) if exact is None else [exact]:
        try:
            if not _shares(worker.current_pwq, pwq):
                continue
            holders.append(Holder(task_pointer(worker.task), alive=True, known_by="worker"))
        except FaultError:
            continue
        current = scan.memory("struct worker", worker.value_(), "current_pwq")
        memories += [current] if current else []
    return Lock(
        kind="work",
        address=Address(completion),
        name=f"on workqueue {name}" if name else None,
        holders=tuple(ahead or holders),
        because=tuple(memories),
    )


def _in_pool(scan: Scan, pwq: int) -> list[Holder]:
    """Who keeps the pool of a part of a queue from beginning anything."""
    from drgn import FaultError, Object

    try:
        pool = Object(scan.prog, "struct pool_workqueue *", pwq).pool.read_()
    except FaultError:
        return []
    return held_up(busy_workers(scan.prog), pool)


def _shares(own: Any, pwq: int) -> bool:
    """Whether an item carried out counts against the most of another's queue.

    Queues that are bound to no CPU count all that they carry out, since Linux 6.9 (commit
    5797b1c18919) also across their parts.
    """
    from drgn import Object

    if own.value_() == pwq:
        return True
    queue = Object(own.prog_, "struct pool_workqueue *", pwq).wq.read_()
    return bool(own.wq.value_() == queue.value_() and queue.flags.value_() & _UNBOUND)


def busy_workers(prog: Any) -> list[Any]:
    """Workers that carry out a work item: ``struct worker *``; found once for all waiters."""
    from drgn import FaultError, cast
    from drgn.helpers.linux.kthread import kthread_data
    from drgn.helpers.linux.pid import for_each_task

    if "oopsight busy workers" not in prog.cache:
        found = []
        try:
            for task in for_each_task(prog):
                if not task.flags.value_() & _WORKER:
                    continue
                try:
                    worker = cast("struct worker *", kthread_data(task))
                    if worker and worker.current_pwq:
                        found.append(worker)
                except (FaultError, AttributeError):
                    continue
        except FaultError:
            pass  # those found before stand
        prog.cache["oopsight busy workers"] = found
    workers: list[Any] = prog.cache["oopsight busy workers"]
    return workers


def _thread(scan: Scan, completion: int) -> Lock | None:
    """The kernel thread for whose end, or parking, one waits."""
    from drgn import FaultError
    from drgn.helpers.linux.kthread import to_kthread
    from drgn.helpers.linux.pid import for_each_task

    from oopsight.evidence.hangs.stacks import task_pointer

    try:
        for task in for_each_task(scan.prog):
            try:
                if not task.flags.value_() & 0x200000:  # PF_KTHREAD
                    continue
                thread = to_kthread(task)
                for member, does in _THREADS_DO.items() if thread else ():
                    if thread.member_(member).address_of_().value_() != completion:
                        continue
                    found = Holder(task_pointer(task), alive=True, known_by="worker")
                    link = scan.memory("struct kthread", thread.value_(), member)
                    return Lock(
                        "thread",
                        Address(completion),
                        f"{found.task.comm} {does}",
                        holders=(found,),
                        because=(link,) if link else (),
                    )
            except (FaultError, AttributeError):
                continue
    except FaultError:
        return None
    return None

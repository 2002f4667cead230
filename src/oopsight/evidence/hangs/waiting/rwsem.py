"""``struct rw_semaphore``: a writer is its owner; of readers it remembers the last one.

With PREEMPT_RT a writer first takes the ``rt_mutex`` within, and then waits until the readers are
gone, of whom there is only the number.
"""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock, holder
from oopsight.evidence.hangs.waiting.scan import Scan, held_by_readers, value

FUNCTIONS = (
    *("rwsem_down_*", "__down_read*", "__down_write*", "down_read*", "down_write*"),
    "rwbase_write_lock*",
)
# kernel/locking/rwsem.c
_WRITER_LOCKED = 0x1
_OWNER_FLAGS = 0x7
_READERS_SHIFT = 8
# kernel/locking/rwbase_rt.c
_READER_BIAS = 1 << 31
_HAS_WAITERS = 0x1


def find(scan: Scan) -> Lock | None:
    """The semaphore on whose list the task's ``struct rwsem_waiter`` is."""
    for address, waiter in scan.locks("struct rwsem_waiter", "struct rw_semaphore"):
        owner = scan.memory("struct rw_semaphore", address, "owner")
        count = scan.memory("struct rw_semaphore", address, "count")
        if owner is None or count is None:
            continue
        written = bool(value(count) & _WRITER_LOCKED)
        readers = 0 if written else value(count) >> _READERS_SHIFT & 0xFFFFFF
        task = value(owner) & ~_OWNER_FLAGS if written or readers else 0
        mine = scan.memory("struct rwsem_waiter", waiter.address, "task")
        return Lock(
            kind="rwsem",
            address=Address(address),
            name=scan.name(address),
            mode="write" if scan.stack.inside("rwsem_down_write_slowpath") else "read",
            holders=holder(scan, task, "owner" if written else "last reader"),
            because=(count, owner, *((mine,) if mine else ())),
            detail="held by a writer" if written else held_by_readers(readers),
        )
    return _behind_readers(scan)


def _behind_readers(scan: Scan) -> Lock | None:
    """With PREEMPT_RT, the semaphore whose rt_mutex the task has, while there are readers."""
    type_name = "struct rw_semaphore"
    owner_at = scan.offset(type_name, "rwbase.rtmutex.owner")
    if owner_at is None or scan.stack.inside("down_write*", "rwbase_write_lock*") is None:
        return None
    for address in scan.pointers():
        owner = scan.memory(type_name, address, "rwbase.rtmutex.owner")
        if owner is None or value(owner) & ~_HAS_WAITERS != scan.task:
            continue
        count = scan.memory(type_name, address, "rwbase.readers")
        readers = value(count) if count is not None else 0
        if count is not None and 0 < readers < _READER_BIAS:
            return Lock(
                kind="rwsem",
                address=Address(address),
                name=scan.name(address),
                mode="write",
                because=(owner, count),
                detail=held_by_readers(readers),
            )
    return None

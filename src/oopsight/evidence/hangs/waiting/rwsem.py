"""``struct rw_semaphore``: a writer is its owner; of readers it remembers the last one."""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock, holder
from oopsight.evidence.hangs.waiting.scan import Scan, held_by_readers, value

FUNCTIONS = ("rwsem_down_*", "__down_read*", "__down_write*", "down_read*", "down_write*")
# kernel/locking/rwsem.c
_WRITER_LOCKED = 0x1
_OWNER_FLAGS = 0x7
_READERS_SHIFT = 8


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
    return None

"""``struct rt_mutex_base``: the waiter names the lock, the lock its owner."""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock, holder
from oopsight.evidence.hangs.waiting.scan import Scan, value

FUNCTIONS = (
    "rt_mutex_slowlock*",
    "__rt_mutex_slowlock*",
    "rt_mutex_lock*",
    "__rt_mutex_lock*",
    "rtlock_slowlock*",
    "rt_spin_lock",
)
_WAITER = "struct rt_mutex_waiter"
_HAS_WAITERS = 0x1


def find(scan: Scan) -> Lock | None:
    """The lock that a ``struct rt_mutex_waiter`` of the task points to."""
    task = scan.offset(_WAITER, "task")
    if task is None:
        return None
    # Since Linux 5.15 (commit 830e6acc8a1c) the lock proper is struct rt_mutex_base.
    lock_type = "struct rt_mutex_base"
    if scan.offset(lock_type, "owner") is None:
        lock_type = "struct rt_mutex"
    for address, word in scan.words():
        if word != scan.task:
            continue
        link = scan.memory(_WAITER, address - task, "lock")
        owner = scan.memory(lock_type, value(link), "owner") if link and value(link) else None
        if link is None or owner is None or not value(owner) & _HAS_WAITERS:
            continue
        return Lock(
            kind="rtmutex",
            address=Address(value(link)),
            name=scan.name(value(link)),
            holders=holder(scan, value(owner) & ~_HAS_WAITERS, "owner"),
            because=(link, owner),
        )
    return None

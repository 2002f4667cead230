"""``struct rt_mutex_base``: the task names its waiter, that the lock, and the lock its owner.

With PREEMPT_RT all sleeping locks are rt_mutexes within, and so are spinlocks.
"""

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
    "rwbase_rtmutex_*",
    "rt_spin_lock*",
    "rt_read_lock*",
    "rt_write_lock*",
)
_WAITER = "struct rt_mutex_waiter"
_BASE = "struct rt_mutex_base"
"""Of its own since Linux 5.15 (commit 830e6acc8a1c)."""
_HAS_WAITERS = 0x1
_BOOSTS = ("rcu_boost", "rcu_boost_kthread")
_WITHIN = (
    ("spinlock", ("rt_spin_lock*",), "struct spinlock", "lock"),
    ("spinlock", ("rt_read_lock*", "rt_write_lock*"), "rwlock_t", "rwbase.rtmutex"),
    ("mutex", ("mutex_lock*", "__mutex_lock*", "ww_mutex_lock*"), "struct mutex", "rtmutex"),
    ("rwsem", ("down_read*", "down_write*"), "struct rw_semaphore", "rwbase.rtmutex"),
)
"""Of each kind with PREEMPT_RT: who takes it, its type and where in that the rt_mutex is."""


def find(scan: Scan) -> Lock | None:
    """The lock of the ``struct rt_mutex_waiter`` that the task is blocked on."""
    blocked = scan.memory("struct task_struct", scan.task, "pi_blocked_on")
    if blocked is None or not value(blocked):
        return None
    link = scan.memory(_WAITER, value(blocked), "lock")
    base = _BASE if scan.offset(_BASE, "owner") is not None else "struct rt_mutex"
    owner = scan.memory(base, value(link), "owner") if link and value(link) else None
    if link is None or owner is None or not value(owner) & _HAS_WAITERS:
        return None
    if scan.stack.inside(*_BOOSTS) is not None:
        # The lock is there to lend its priority to a reader, for whom it was taken.
        return Lock(
            kind="grace period",
            address=Address(value(link)),
            name="of RCU",
            holders=holder(scan, value(owner) & ~_HAS_WAITERS, "reader"),
            because=(blocked, link, owner),
        )
    kind, address = _of_kind(scan, value(link))
    return Lock(
        kind=kind,
        address=Address(address),
        name=scan.name(address),
        mode=_mode(scan) if kind == "rwsem" else None,
        holders=holder(scan, value(owner) & ~_HAS_WAITERS, "owner"),
        because=(blocked, link, owner),
    )


def _of_kind(scan: Scan, address: int) -> tuple[str, int]:
    """What the rt_mutex is part of, and the address of that.

    Who takes it may have jumped on, and left only the call of it in the caller's code.
    """
    called = next((call.wants.kind for call in scan.stack.calls if call.wants is not None), None)
    for kind, functions, type_name, member in _WITHIN:
        at = scan.offset(type_name, member)
        if at is not None and (called == kind or scan.stack.inside(*functions) is not None):
            return kind, address - at
    return "rtmutex", address


def _mode(scan: Scan) -> str:
    return "write" if scan.stack.inside("down_write*") is not None else "read"

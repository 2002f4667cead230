"""``struct semaphore``: it has no owner."""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.waiting import Lock, holder
from oopsight.evidence.waiting.scan import Scan, value

FUNCTIONS = (
    "__down",
    "__down_common",
    "___down_common",
    "__down_interruptible",
    "__down_killable",
    "__down_timeout",
    "down",
    "down_interruptible",
    "down_killable",
    "down_timeout",
)


def find(scan: Scan) -> Lock | None:
    """The semaphore on whose list the task's ``struct semaphore_waiter`` is."""
    shape = scan.shape("struct semaphore_waiter", "task", "list")
    offset = scan.offset("struct semaphore", "wait_list")
    if shape is None or offset is None:
        return None
    for waiter in scan.waiters(shape):
        head = scan.head(shape, waiter.node)
        count = scan.memory("struct semaphore", head - offset, "count") if head else None
        if head is None or count is None:
            continue
        # Since Linux 6.16 (commit 194a9b9e843b), for the hung task detector.
        last = scan.memory("struct semaphore", head - offset, "last_holder")
        return Lock(
            kind="semaphore",
            address=Address(head - offset),
            name=scan.name(head - offset),
            holders=holder(scan, value(last), "owner") if last is not None else (),
            because=(count,) if last is None else (count, last),
        )
    return None

"""``struct semaphore``: it has no owner."""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock, holder
from oopsight.evidence.hangs.waiting.scan import Scan, value

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
    for address, _ in scan.locks("struct semaphore_waiter", "struct semaphore"):
        count = scan.memory("struct semaphore", address, "count")
        if count is None:
            continue
        # Since Linux 6.16 (commit 194a9b9e843b), for the hung task detector; it is optional.
        last = scan.memory("struct semaphore", address, "last_holder")
        return Lock(
            kind="semaphore",
            address=Address(address),
            name=scan.name(address),
            holders=holder(scan, value(last), "last holder") if last is not None else (),
            because=(count,) if last is None else (count, last),
        )
    return None

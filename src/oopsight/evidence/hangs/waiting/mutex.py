"""``struct mutex``: its owner is in the lock, with flags in the low bits."""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock, holder
from oopsight.evidence.hangs.waiting.scan import Scan, value

FUNCTIONS = ("__mutex_lock*", "mutex_lock*", "__ww_mutex_lock*", "ww_mutex_lock*")
_FLAGS = 0x7  # kernel/locking/mutex.c: MUTEX_FLAGS


def find(scan: Scan) -> Lock | None:
    """The mutex on whose list the task's ``struct mutex_waiter`` is."""
    for address, waiter in scan.locks("struct mutex_waiter", "struct mutex"):
        owner = scan.memory("struct mutex", address, "owner")
        if owner is None:
            continue
        mine = scan.memory("struct mutex_waiter", waiter.address, "task")
        return Lock(
            kind="mutex",
            address=Address(address),
            name=scan.name(address),
            holders=holder(scan, value(owner) & ~_FLAGS, "owner"),
            because=(owner, *((mine,) if mine else ())),
        )
    return None

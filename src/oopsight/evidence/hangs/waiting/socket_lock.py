"""``lock_sock()``: whoever owns a socket keeps others waiting; the lock names nobody."""

from __future__ import annotations

import contextlib

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock
from oopsight.evidence.hangs.waiting.scan import Scan, value
from oopsight.text import c_string, printable

FUNCTIONS = ("__lock_sock", "lock_sock_nested", "lock_sock")
_OWNED = "sk_lock.owned"


def find(scan: Scan) -> Lock | None:
    """The socket on whose queue of those that want to own it the task is."""
    shape = scan.shape("struct wait_queue_entry", "private", "entry")
    head_at = scan.offset("struct sock", "sk_lock.wq.head")
    if shape is None or head_at is None:
        return None
    for waiter in scan.waiters(shape):
        head = scan.head(shape, waiter.node)
        owned = scan.memory("struct sock", head - head_at, _OWNED) if head is not None else None
        if head is None or owned is None or not value(owned):
            continue
        socket = head - head_at
        mine = scan.memory("struct wait_queue_entry", waiter.address, "private")
        return Lock(
            kind="socket",
            address=Address(socket),
            name=_name(scan, socket),
            because=(owned, *((mine,) if mine else ())),
        )
    return None


def _name(scan: Scan, socket: int) -> str:
    """Its protocol and address; sockets of many kinds share a slab cache."""
    from drgn import FaultError

    protocol = "?"
    with contextlib.suppress(FaultError, LookupError, AttributeError):
        pointer = scan.object("struct sock", socket)
        protocol = printable(c_string(pointer.member_("__sk_common").skc_prot.name))
    return f"of protocol {protocol} at {socket:#x}"

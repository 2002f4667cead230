"""``struct dma_fence``: what one driver hands out for others to wait for, until it signals it."""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock
from oopsight.evidence.hangs.waiting.scan import Scan

FUNCTIONS = ("dma_fence_default_wait", "dma_fence_wait_any_timeout")
KIND = "fence"
_FENCE = "struct dma_fence"


def find(scan: Scan) -> Lock | None:
    """The fence that has the task's callback; its operations are those of who is to signal it."""
    shape = scan.shape("struct default_wait_cb", "task", "base.node")
    offset = scan.offset(_FENCE, "cb_list")
    if shape is None or offset is None:
        return None
    for waiter in scan.waiters(shape):
        head = scan.head(shape, waiter.node)
        operations = scan.memory(_FENCE, head - offset, "ops") if head is not None else None
        if head is not None and operations is not None:
            return Lock(
                KIND,
                Address(head - offset),
                scan.name(head - offset),
                because=(operations,),
            )
    return None

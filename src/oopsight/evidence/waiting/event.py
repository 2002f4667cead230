"""``wait_event()`` and its kin: a wait queue whose condition is not fulfilled."""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.waiting import Lock
from oopsight.evidence.waiting.scan import Scan

FUNCTIONS = ("schedule", "schedule_timeout*", "io_schedule*", "schedule_preempt_disabled")
FALLBACK = True
"""Every sleeping task is in one of these; the other kinds are asked first."""


def find(scan: Scan) -> Lock | None:
    """The queue that the task's ``struct wait_queue_entry`` is on; its use tells a page or bit."""
    shape = scan.shape("struct wait_queue_entry", "private", "entry")
    offset = scan.offset("struct wait_queue_head", "head")
    if shape is not None and offset is not None:
        for waiter in scan.waiters(shape):
            head = scan.head(shape, waiter.node)
            if head is None:
                continue
            address = head - offset
            because = tuple(
                memory
                for memory in (
                    scan.memory("struct wait_queue_entry", waiter.address, "private"),
                    scan.memory("struct wait_queue_head", address, "head"),
                )
                if memory is not None
            )
            if scan.stack.inside("folio_wait*", "__folio_lock*", "wait_on_page*", "__lock_page*"):
                return Lock("page", Address(address), None, because=because)
            if scan.stack.inside("out_of_line_wait_on_bit*", "__wait_on_bit*"):
                return Lock("bit", Address(address), None, because=because)
            return Lock("event", Address(address), scan.name(address), because=because)
    if scan.stack.inside("io_schedule*"):
        return Lock("io", None, None)
    if scan.stack.inside("schedule_timeout*", "msleep*", "usleep*", "do_nanosleep"):
        return Lock("time", None, None)
    return None

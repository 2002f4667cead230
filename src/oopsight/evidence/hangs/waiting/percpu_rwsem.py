"""``struct percpu_rw_semaphore``: readers are only counted, and a writer only leaves a mark.

A superblock has three of them, whose writer is whoever froze the file system.
"""

from __future__ import annotations

import contextlib
from typing import Any

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock
from oopsight.evidence.hangs.waiting.scan import Scan, held_by_readers
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.pointers import Memory
from oopsight.kernel.lock_functions import FROZEN
from oopsight.text import c_string, printable

FUNCTIONS = ("percpu_rwsem_wait", "percpu_down_write", "__percpu_down_read")
_TYPE = "struct percpu_rw_semaphore"
_KERNEL = 1 << 63
_MOST_SUPERBLOCKS = 10_000


def find(scan: Scan) -> Lock | None:
    """The semaphore on whose list the task is, or whose waiting writer it is."""
    address = _queued(scan)
    if address is None:
        address = _writing(scan)
    if address is None:
        return None
    block = scan.memory(_TYPE, address, "block")
    because = (block,) if block is not None else ()
    frozen = _frozen(scan, address)
    if frozen is not None:
        return Lock(FROZEN, Address(address), frozen[0], because=(frozen[1],))
    write = scan.stack.inside("percpu_down_write") is not None
    readers = _readers(scan.prog, address) if write else None
    return Lock(
        "percpu_rwsem",
        Address(address),
        scan.name(address),
        mode="write" if write else "read",
        because=because,
        detail=held_by_readers(readers) if readers else None,
    )


def _queued(scan: Scan) -> int | None:
    shape = scan.shape("struct wait_queue_entry", "private", "entry")
    # Since Linux 5.7 (commit 7f26482a872c) these have a queue of their own.
    queue = scan.offset(_TYPE, "waiters.head")
    if shape is None or queue is None:
        return None
    for waiter in scan.waiters(shape):
        head = scan.head(shape, waiter.node)
        if head is not None:
            return head - queue
    return None


def _writing(scan: Scan) -> int | None:
    """The semaphore, among those that the code and the stack lead to, that names the task."""
    from drgn import FaultError

    writer = scan.offset(_TYPE, "writer.task")
    if writer is None:
        return None
    wanted = [int(c.wants.address) for c in scan.stack.calls if c.wants and c.wants.address]
    words = (word for _, word in scan.words() if word >= _KERNEL and word % 8 == 0)
    for candidate in (*wanted, *words):
        with contextlib.suppress(FaultError, OverflowError):
            if scan.prog.read_u64(candidate + writer) == scan.task:
                return candidate
    return None


def _readers(prog: Any, address: int) -> int | None:
    from drgn import FaultError, Object
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        count = Object(prog, f"{_TYPE} *", address).read_count.read_()
        total = sum(per_cpu_ptr(count, c)[0].value_() for c in for_each_possible_cpu(prog))
    except (FaultError, LookupError):
        return None
    return int(total) & 0xFFFFFFFF


def _frozen(scan: Scan, address: int) -> tuple[str, Memory] | None:
    """The file system that the semaphore is of, and its mark that it is frozen."""
    from drgn import FaultError
    from drgn.helpers.linux.list import list_for_each_entry

    offset = scan.offset("struct super_block", "s_writers.rw_sem")
    if offset is None:
        return None
    blocks = list_for_each_entry(
        "struct super_block", scan.prog["super_blocks"].address_of_(), "s_list"
    )
    try:
        for count, block in enumerate(blocks):
            start = block.value_() + offset
            if count >= _MOST_SUPERBLOCKS:
                return None
            if start <= address < start + 3 * scan.size(_TYPE):
                if not block.s_writers.frozen.value_():
                    return None
                kind = printable(c_string(block.s_type.name))
                name = printable(c_string(block.s_id))
                return f"{kind} on {name}", memory_of(block, "s_writers.frozen")
    except (FaultError, LookupError):
        pass
    return None

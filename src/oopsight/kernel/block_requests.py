"""Requests that a block driver was handed and has not completed, from blk-mq's own tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_REQUESTS = 4096
_MOST_DISKS = 4096
_MOST_QUEUES = 4096
_MOST_BIOS = 64
_MOST_VECTORS = 256
_IN_FLIGHT = 1  # include/linux/blk-mq.h: MQ_RQ_IN_FLIGHT


def requests_in_flight(prog: Any) -> Iterator[tuple[Any, Any]]:
    """Requests that were started and not completed, over all disks.

    :return: ``struct gendisk *`` and ``struct request *``
    """
    from drgn import FaultError
    from drgn.helpers.linux.block import for_each_disk, request_queue_busy_iter

    count = 0
    try:
        for number, disk in enumerate(for_each_disk(prog)):
            if number >= _MOST_DISKS:
                return
            try:
                for request in request_queue_busy_iter(disk.queue.read_(), "driver"):
                    count += 1
                    if count > MOST_REQUESTS:
                        return
                    if request.state.value_() == _IN_FLIGHT:
                        yield disk, request
            except (FaultError, LookupError, AttributeError):
                continue
    except (FaultError, LookupError):
        return


def hardware_queues(queue: Any) -> Iterator[Any]:
    """The contexts by which a queue hands requests to its driver.

    :param queue: ``struct request_queue *``
    :return: ``struct blk_mq_hw_ctx *``
    """
    from drgn import cast
    from drgn.helpers.linux.xarray import xa_for_each

    try:
        # Until Linux 5.18 (commit 4e5cc99e1e48), and since 6.19 (commit d0c98769ee7d).
        contexts = queue.queue_hw_ctx
    except AttributeError:
        entries = (entry for _, entry in xa_for_each(queue.hctx_table.address_of_()))
    else:
        entries = (contexts[index] for index in range(queue.nr_hw_queues.value_()))
    for count, entry in enumerate(entries):
        if count >= _MOST_QUEUES:
            return
        yield cast("struct blk_mq_hw_ctx *", entry)


def has_requests(queue: Any) -> bool:
    """Whether a queue has any request that is not completed, started or not.

    A request that waits to be started has a tag, and may not be known by it yet.

    :param queue: ``struct request_queue *``
    """
    from drgn.helpers.linux.sbitmap import sbitmap_for_each_set

    for context in hardware_queues(queue):
        for tags in (context.tags.read_(), context.sched_tags.read_()):
            bits = sbitmap_for_each_set(tags.bitmap_tags.sb.address_of_()) if tags else ()
            if next(iter(bits), None) is not None:
                return True
    return False


def served(request: Any) -> set[int]:
    """What those who wait for a request can wait for: its pages' heads, and who gets its end.

    :param request: ``struct request *``
    :return: addresses of ``struct page``, of ``struct bio``, what the bios keep for whom they are
        of, such as a completion or a ``struct buffer_head``, and the queue, for whose emptiness or
        tags others wait
    """
    from drgn import FaultError
    from drgn.helpers.linux.mm import compound_head

    found: set[int] = set()
    try:
        found |= {request.value_(), request.q.value_(), request.mq_hctx.value_()}
        bio = request.bio.read_()
        for _ in range(_MOST_BIOS):
            if not bio:
                break
            found |= {bio.value_(), bio.bi_private.value_()}
            for index in range(min(bio.bi_vcnt.value_(), _MOST_VECTORS)):
                page = bio.bi_io_vec[index].bv_page.read_()
                found.add(compound_head(page).value_())
            bio = bio.bi_next.read_()
    except (FaultError, LookupError):
        pass
    return found - {0}

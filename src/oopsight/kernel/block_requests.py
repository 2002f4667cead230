"""Requests that a block driver was handed and has not completed, from blk-mq's own tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_REQUESTS = 4096
_MOST_DISKS = 4096
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

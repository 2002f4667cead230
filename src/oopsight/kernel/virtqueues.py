"""Whether a virtio device has answered what its driver has not taken yet."""

from __future__ import annotations

from typing import Any

_INDEX = 0xFFFF


def unanswered(request: Any) -> bool | None:
    """Whether a block request lies with the device: it has finished nothing that is not taken.

    :param request: ``struct request *`` of virtio_blk
    :return: ``False`` where the device has finished requests that the driver has not taken;
        ``None`` where that is not known, as with the packed layout of the ring
    """
    from drgn import FaultError, Object, container_of

    try:
        disk = Object(
            request.prog_, "struct virtio_blk *", request.q.queuedata.read_().value_()
        )
        queue = disk.vqs[request.mq_hctx.queue_num.value_()].vq.read_()
        ring = container_of(queue, "struct vring_virtqueue", "vq")
        if ring.packed_ring:
            return None
        taken = ring.last_used_idx.value_() & _INDEX
        return bool(ring.split.vring.used.idx.value_() == taken)
    except (FaultError, LookupError, AttributeError):
        return None

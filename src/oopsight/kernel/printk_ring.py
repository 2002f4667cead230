"""The kernel log from VMCOREINFO alone, without symbols or types.

Since Linux 5.10 (commit 896fbe20b4e2) the log is a ring of descriptors and a ring of texts, and
VMCOREINFO has their addresses and layouts: kernel/printk/printk_ringbuffer.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from oopsight.cheap import dataclass
from oopsight.dump import VmcoreInfo
from oopsight.errors import SymbolError

_MASK = (1 << 64) - 1
_STATE_SHIFT = 62
# enum desc_state: what a reader may show.
_COMMITTED, _FINALIZED = 1, 2
_ID_MASK = (1 << _STATE_SHIFT) - 1
_MOST_RECORDS_BITS = 24
_MOST_TEXT_BITS = 30
_LONGEST_TEXT = 1 << 16


@dataclass(frozen=True)
class LogRecord:
    """One call of ``printk()``."""

    nanoseconds: int
    """Since boot."""
    text: bytes


class _Memory:
    def __init__(self, read: Callable[[int, int], bytes], info: VmcoreInfo) -> None:
        self.read, self._info = read, info

    def of(self, kind: str, name: str) -> int:
        """A number of VMCOREINFO: ``OFFSET(...)`` or ``SIZE(...)``."""
        try:
            return int(self._info[f"{kind}({name})"])
        except (KeyError, ValueError):
            raise SymbolError(
                "VMCOREINFO does not describe the log's ring buffer, as kernels do since 5.10"
            ) from None

    def number(self, address: int, size: int = 8) -> int:
        return int.from_bytes(self.read(address, size), "little")


def log_records(read: Callable[[int, int], bytes], info: VmcoreInfo) -> Iterator[LogRecord]:
    """Yield the records, oldest first; those that were overwritten meanwhile are passed over.

    :param read: virtual address, bytes
    :raises SymbolError: if VMCOREINFO has no such ring, or a part of it is not in the dump
    """
    memory = _Memory(read, info)
    pointer = info.symbol("prb")
    if pointer is None:
        raise SymbolError("VMCOREINFO does not tell where the log is")
    ring = memory.number(pointer)
    descriptors = ring + memory.of("OFFSET", "printk_ringbuffer.desc_ring")
    texts = ring + memory.of("OFFSET", "printk_ringbuffer.text_data_ring")
    count_bits = memory.number(descriptors + memory.of("OFFSET", "prb_desc_ring.count_bits"), 4)
    size_bits = memory.number(texts + memory.of("OFFSET", "prb_data_ring.size_bits"), 4)
    if count_bits > _MOST_RECORDS_BITS or size_bits > _MOST_TEXT_BITS:
        raise SymbolError("the log's ring buffer is damaged")
    count, size = 1 << count_bits, 1 << size_bits

    def array(owner: int, member: str, width: int, length: int) -> bytes:
        return read(memory.number(owner + memory.of("OFFSET", member)), width * length)

    counter = memory.of("OFFSET", "atomic_long_t.counter")
    desc_size, info_size = memory.of("SIZE", "prb_desc"), memory.of("SIZE", "printk_info")
    descs = array(descriptors, "prb_desc_ring.descs", desc_size, count)
    infos = array(descriptors, "prb_desc_ring.infos", info_size, count)
    data = array(texts, "prb_data_ring.data", 1, size)
    state_at = memory.of("OFFSET", "prb_desc.state_var") + counter
    block_at = memory.of("OFFSET", "prb_desc.text_blk_lpos")
    begin_at = block_at + memory.of("OFFSET", "prb_data_blk_lpos.begin")
    next_at = block_at + memory.of("OFFSET", "prb_data_blk_lpos.next")
    time_at = memory.of("OFFSET", "printk_info.ts_nsec")
    length_at = memory.of("OFFSET", "printk_info.text_len")
    tail = memory.number(descriptors + memory.of("OFFSET", "prb_desc_ring.tail_id") + counter)
    head = memory.number(descriptors + memory.of("OFFSET", "prb_desc_ring.head_id") + counter)

    def word(raw: bytes, at: int, width: int = 8) -> int:
        return int.from_bytes(raw[at : at + width], "little")

    for step in range(min((head - tail & _ID_MASK) + 1, count)):
        number = tail + step & _ID_MASK
        desc = (number % count) * desc_size
        state = word(descs, desc + state_at)
        if state & _ID_MASK != number or state >> _STATE_SHIFT not in (_COMMITTED, _FINALIZED):
            continue
        record = (number % count) * info_size
        length = min(word(infos, record + length_at, 2), _LONGEST_TEXT)
        begin, end = word(descs, desc + begin_at), word(descs, desc + next_at)
        yield LogRecord(word(infos, record + time_at), _text(data, size, begin, end)[:length])


def _text(data: bytes, size: int, begin: int, end: int) -> bytes:
    """The text of a block, which is a descriptor's number and the text.

    :param begin: logical position; odd where there is no text
    """
    if begin & 1:
        return b""
    start, stop = begin % size, end % size
    if begin // size == (end - 1 & _MASK) // size:
        return data[start + 8 : stop or size]
    # A block never wraps: it begins anew at the ring's start.
    return data[8:stop]

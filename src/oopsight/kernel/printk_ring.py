"""The kernel log from VMCOREINFO alone, without symbols or types.

Since Linux 5.10 (commit 896fbe20b4e2) the log is a ring of descriptors and a ring of texts, and
VMCOREINFO has their addresses and layouts: kernel/printk/printk_ringbuffer.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
_PAGE = 4096
_CHUNK = 4 * _PAGE
# What struct printk_info holds behind text_len: u8 facility; u8 flags:5, level:3.
_FACILITY_BEHIND, _LEVEL_BEHIND, _LEVEL_SHIFT = 2, 3, 5
_INFORMATION = 6  # KERN_INFO, of a record whose own level is lost
_OF_A_CPU = 1 << 31


@dataclass(frozen=True)
class LogRecord:
    """One call of ``printk()``."""

    nanoseconds: int
    """Since boot."""
    text: bytes
    level: int
    """As syslog numbers them: 3 is an error, 6 information."""
    facility: int
    """0 is the kernel; others are written through ``/dev/kmsg``."""
    caller: str
    """``T`` and the task, or ``C`` and the CPU, that wrote it; empty where that is not known."""
    context: dict[str, bytes]
    """``SUBSYSTEM`` and ``DEVICE``, of those that a device's driver wrote."""


@dataclass(frozen=True)
class KernelLog:
    """The records, oldest first; those overwritten or half written at the crash are passed over."""

    records: tuple[LogRecord, ...]
    lost: int
    """How many could not be read, for they lie in pages that are not in the dump."""


def caller_name(number: int) -> str:
    """A ``caller_id`` as crash shows it.

    >>> caller_name(0x80000003), caller_name(42)
    ('C3', 'T42')
    """
    return f"C{number & ~_OF_A_CPU}" if number & _OF_A_CPU else f"T{number}"


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


class _Array:
    """Memory that is read where it is asked for, and may have holes, which read as zeros."""

    def __init__(self, read: Callable[[int, int], bytes], address: int, size: int) -> None:
        self._read, self._address, self._size = read, address, size
        self._chunks: dict[int, bytes] = {}
        self._holes: list[range] = []

    def get(self, begin: int, end: int) -> bytes:
        """The bytes at these offsets."""
        end = min(end, self._size)
        first, last = begin // _CHUNK, max(begin, end - 1) // _CHUNK
        data = self._chunk(first)
        if last > first:
            data = b"".join(self._chunk(number) for number in range(first, last + 1))
        return data[begin - first * _CHUNK : max(begin, end) - first * _CHUNK]

    def lost(self, begin: int, end: int) -> bool:
        """Whether some of these bytes, which were asked for, are not in the dump."""
        return bool(self._holes) and any(
            begin < hole.stop and hole.start < end for hole in self._holes
        )

    def find(self, wanted: bytes) -> int | None:
        """Offset of a word, which is aligned to its eight bytes."""
        data = self.get(0, self._size)
        at = data.find(wanted)
        while at >= 0 and at % 8:
            at = data.find(wanted, at + 1)
        return at if at >= 0 else None

    def _chunk(self, number: int) -> bytes:
        found = self._chunks.get(number)
        if found is None:
            begin = number * _CHUNK
            found = self._pages(begin, min(begin + _CHUNK, self._size))
            self._chunks[number] = found
        return found

    def _pages(self, begin: int, end: int) -> bytes:
        try:
            return self._read(self._address + begin, end - begin)
        except SymbolError:
            pass
        parts = []
        while begin < end:
            length = min(_PAGE - (self._address + begin) % _PAGE, end - begin)
            try:
                parts.append(self._read(self._address + begin, length))
            except SymbolError:
                parts.append(bytes(length))
                self._holes.append(range(begin, begin + length))
            begin += length
        return b"".join(parts)


def _number(data: bytes, at: int, width: int = 8) -> int:
    return int.from_bytes(data[at : at + width], "little")


def read_log(read: Callable[[int, int], bytes], info: VmcoreInfo) -> KernelLog:
    """Read the log's ring buffer.

    A record whose descriptor is lost is found by its number, which stands before its text; one
    whose own ``struct printk_info`` is lost keeps its text, with the time of the one before.

    :param read: virtual address, bytes; raises SymbolError where they are not in the dump
    :raises SymbolError: if VMCOREINFO has no such ring, or its head is not in the dump
    """
    memory = _Memory(read, info)
    pointer = info.symbol("prb")
    if pointer is None:
        raise SymbolError("VMCOREINFO does not tell where the log is")
    return _Ring(memory, memory.number(pointer)).log()


class _Ring:
    """A ``struct printk_ringbuffer``."""

    def __init__(self, memory: _Memory, ring: int) -> None:
        of = memory.of
        descriptors = ring + of("OFFSET", "printk_ringbuffer.desc_ring")
        texts = ring + of("OFFSET", "printk_ringbuffer.text_data_ring")
        count_bits = memory.number(descriptors + of("OFFSET", "prb_desc_ring.count_bits"), 4)
        size_bits = memory.number(texts + of("OFFSET", "prb_data_ring.size_bits"), 4)
        if count_bits > _MOST_RECORDS_BITS or size_bits > _MOST_TEXT_BITS:
            raise SymbolError("the log's ring buffer is damaged")
        self._count, self._size = 1 << count_bits, 1 << size_bits

        def array(owner: int, member: str, width: int, length: int) -> _Array:
            where = memory.number(owner + of("OFFSET", member))
            return _Array(memory.read, where, width * length)

        self._desc_size, self._info_size = of("SIZE", "prb_desc"), of("SIZE", "printk_info")
        self._descs = array(descriptors, "prb_desc_ring.descs", self._desc_size, self._count)
        self._infos = array(descriptors, "prb_desc_ring.infos", self._info_size, self._count)
        self._texts = array(texts, "prb_data_ring.data", 1, self._size)
        counter = of("OFFSET", "atomic_long_t.counter")
        self._tail = memory.number(descriptors + of("OFFSET", "prb_desc_ring.tail_id") + counter)
        self._head = memory.number(descriptors + of("OFFSET", "prb_desc_ring.head_id") + counter)
        self._state_at = of("OFFSET", "prb_desc.state_var") + counter
        block_at = of("OFFSET", "prb_desc.text_blk_lpos")
        self._begin_at = block_at + of("OFFSET", "prb_data_blk_lpos.begin")
        self._next_at = block_at + of("OFFSET", "prb_data_blk_lpos.next")
        self._time_at = of("OFFSET", "printk_info.ts_nsec")
        self._length_at = of("OFFSET", "printk_info.text_len")
        self._caller_at = of("OFFSET", "printk_info.caller_id")
        device_at = of("OFFSET", "printk_info.dev_info")
        self._context_from = device_at
        self._context_at = {
            name: (
                device_at + of("OFFSET", f"dev_printk_info.{member}"),
                of("LENGTH", f"printk_info_{member}"),
            )
            for name, member in (("SUBSYSTEM", "subsystem"), ("DEVICE", "device"))
        }

    def log(self) -> KernelLog:
        """All records, in order."""
        records: list[LogRecord] = []
        lost = 0
        for step in range(min((self._head - self._tail & _ID_MASK) + 1, self._count)):
            number = self._tail + step & _ID_MASK
            block = self._block(number)
            if block is None:
                continue
            inside = block.stop <= self._size
            text = self._texts.get(block.start, block.stop) if inside else b""
            if not inside or self._texts.lost(block.start, block.stop):
                lost += 1
                continue
            records.append(self._record(number, text, records[-1] if records else None))
        return KernelLog(tuple(records), lost)

    def _block(self, number: int) -> range | None:
        """Where a record's text is; beyond the ring where that is lost.

        :return: ``None`` if there is no such record
        """
        at = (number % self._count) * self._desc_size
        desc = self._descs.get(at, at + self._desc_size)
        if self._descs.lost(at, at + self._desc_size):
            return self._search(number)
        state = _number(desc, self._state_at)
        if state & _ID_MASK != number or state >> _STATE_SHIFT not in (_COMMITTED, _FINALIZED):
            return None
        begin, end = _number(desc, self._begin_at), _number(desc, self._next_at)
        if begin & 1:  # there is no text
            return range(0)
        start, stop = begin % self._size, end % self._size
        if begin // self._size == (end - 1 & _MASK) // self._size:
            return range(start + 8, stop or self._size)
        # A block never wraps: it begins anew at the ring's start.
        return range(8, stop)

    def _search(self, number: int) -> range:
        """The text behind a record's number, up to the next one's."""
        nowhere = range(self._size, self._size + 1)
        begin = self._texts.find(number.to_bytes(8, "little"))
        if begin is None:
            return nowhere
        end = self._texts.find((number + 1 & _ID_MASK).to_bytes(8, "little"))
        if end is None or end < begin:
            end = min(begin + _LONGEST_TEXT, self._size)
        return range(begin + 8, end)

    def _record(self, number: int, text: bytes, before: LogRecord | None) -> LogRecord:
        at = (number % self._count) * self._info_size
        info = self._infos.get(at, at + self._info_size)
        if self._infos.lost(at, at + self._info_size):
            time = before.nanoseconds if before else 0
            return LogRecord(time, text.split(b"\0", 1)[0], _INFORMATION, 0, "", {})
        length = min(_number(info, self._length_at, 2), _LONGEST_TEXT)
        strings: Iterable[tuple[str, bytes]] = ()
        if any(info[self._context_from :]):
            strings = (
                (name, info[begin : begin + size].split(b"\0", 1)[0])
                for name, (begin, size) in self._context_at.items()
            )
        return LogRecord(
            nanoseconds=_number(info, self._time_at),
            text=text[:length],
            level=info[self._length_at + _LEVEL_BEHIND] >> _LEVEL_SHIFT,
            facility=info[self._length_at + _FACILITY_BEHIND],
            caller=caller_name(_number(info, self._caller_at, 4)),
            context={name: value for name, value in strings if value},
        )

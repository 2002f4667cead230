"""The log's ring buffer, laid out by hand as VMCOREINFO describes it."""

from __future__ import annotations

import struct

import pytest

from oopsight.dump import VmcoreInfo
from oopsight.errors import SymbolError
from oopsight.kernel import printk_ring
from oopsight.kernel.printk_ring import LogRecord, read_log

START = 0xFFFFFFFF82000000
RING, DESCS, INFOS, TEXT = START + 8, START + 0x100, START + 0x400, START + 0x800
LAYOUT = """SYMBOL(prb)=ffffffff82000000
OFFSET(printk_ringbuffer.desc_ring)=0
OFFSET(printk_ringbuffer.text_data_ring)=40
OFFSET(prb_desc_ring.count_bits)=0
OFFSET(prb_desc_ring.descs)=8
OFFSET(prb_desc_ring.infos)=16
OFFSET(prb_desc_ring.head_id)=24
OFFSET(prb_desc_ring.tail_id)=32
SIZE(prb_desc)=24
OFFSET(prb_desc.state_var)=0
OFFSET(prb_desc.text_blk_lpos)=8
OFFSET(prb_data_blk_lpos.begin)=0
OFFSET(prb_data_blk_lpos.next)=8
SIZE(printk_info)=88
OFFSET(printk_info.ts_nsec)=8
OFFSET(printk_info.text_len)=16
OFFSET(printk_info.caller_id)=20
OFFSET(printk_info.dev_info)=24
OFFSET(dev_printk_info.subsystem)=0
LENGTH(printk_info_subsystem)=16
OFFSET(dev_printk_info.device)=16
LENGTH(printk_info_device)=48
OFFSET(prb_data_ring.size_bits)=0
OFFSET(prb_data_ring.data)=8
OFFSET(atomic_long_t.counter)=0
"""
INFO = VmcoreInfo(LAYOUT.encode())
RESERVED, COMMITTED, FINALIZED, REUSABLE = range(4)


class Ring:
    """Four descriptors and 64 bytes of text."""

    def __init__(self) -> None:
        self.memory = bytearray(0x1000)
        self.put(START, "<Q", RING)
        self.put(RING, "<IIQQQQ", 2, 0, DESCS, INFOS, 0, 0)
        self.put(RING + 40, "<IIQQQ", 6, 0, TEXT, 0, 0)

    def put(self, address: int, layout: str, *values: int) -> None:
        struct.pack_into(layout, self.memory, address - START, *values)

    def span(self, tail: int, head: int) -> None:
        self.put(RING + 24, "<QQ", head, tail)

    def record(self, number: int, state: int, begin: int, text: bytes, *, end: int) -> None:
        index = number % 4
        self.put(DESCS + 24 * index, "<QQQ", state << 62 | number, begin, end)
        self.put(INFOS + 88 * index, "<QQHBBI", number, number * 1000, len(text), 0, 3 << 5, 7)
        if begin & 1:
            return
        at = begin % 64 if begin // 64 == (end - 1) // 64 else 0
        self.put(TEXT + at, "<Q", number)
        self.memory[TEXT - START + at + 8 : TEXT - START + at + 8 + len(text)] = text

    def read(self, address: int, size: int) -> bytes:
        at = address - START
        if at < 0 or at + size > len(self.memory):
            raise SymbolError(f"{address:#x} is not in the dump")
        return bytes(self.memory[at : at + size])

    def records(self) -> tuple[LogRecord, ...]:
        return read_log(self.read, INFO).records

    def texts(self) -> list[tuple[int, bytes]]:
        return [(record.nanoseconds, record.text) for record in self.records()]


def test_records_in_order_also_where_the_ring_came_round() -> None:
    ring = Ring()
    ring.span(3, 6)
    ring.record(3, FINALIZED, 0, b"first", end=16)
    ring.record(4, FINALIZED, 16, b"second line", end=40)
    ring.record(5, COMMITTED, 1, b"", end=1)
    # Does not fit behind 40, so that it begins anew at the start of the ring's next turn.
    ring.record(6, FINALIZED, 40, b"!", end=64 + 16)
    found = ring.texts()
    assert [text for _, text in found][1:] == [b"second line", b"", b"!"]
    assert [time for time, _ in found] == [3000, 4000, 5000, 6000]


def test_what_is_being_written_or_was_overwritten_is_passed_over() -> None:
    ring = Ring()
    ring.span(4, 7)
    ring.record(4, REUSABLE, 0, b"gone", end=16)
    ring.record(5, RESERVED, 16, b"half", end=32)
    ring.record(6, FINALIZED, 32, b"whole", end=48)
    ring.record(3, FINALIZED, 48, b"old", end=64)  # in the place of 7
    assert ring.texts() == [(6000, b"whole")]


def test_the_last_byte_of_the_ring_belongs_to_the_text() -> None:
    ring = Ring()
    ring.span(0, 0)
    ring.record(0, FINALIZED, 40, b"sixteen bytes...", end=64)
    assert ring.texts() == [(0, b"sixteen bytes...")]


def test_who_wrote_a_record() -> None:
    ring = Ring()
    ring.span(0, 1)
    ring.record(0, FINALIZED, 0, b"link up", end=16)
    ring.put(INFOS + 24, "<4s", b"pci")
    ring.record(1, FINALIZED, 16, b"tick", end=32)
    ring.put(INFOS + 88 + 20, "<I", 1 << 31 | 2)
    first, second = ring.records()
    assert first == LogRecord(0, b"link up", 3, 0, "T7", {"SUBSYSTEM": b"pci"})
    assert second.caller == "C2"


class Holed(Ring):
    """A ring of which some eight bytes are not in the dump."""

    def __init__(self, *holes: int) -> None:
        super().__init__()
        self.holes = holes

    def read(self, address: int, size: int) -> bytes:
        if any(address < hole + 8 and hole < address + size for hole in self.holes):
            raise SymbolError(f"{address:#x} is not in the dump")
        return super().read(address, size)


def three_records(*holes: int) -> Holed:
    ring = Holed(*holes)
    ring.span(0, 2)
    for number, text in enumerate((b"first", b"second", b"third")):
        ring.record(number, FINALIZED, 16 * number, text, end=16 * number + 16)
    return ring


def test_a_record_whose_text_is_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printk_ring, "_PAGE", 16)
    log = read_log(three_records(TEXT + 16).read, INFO)
    assert [record.text for record in log.records] == [b"first", b"third"]
    assert log.lost == 1


def test_a_record_whose_descriptor_is_lost_is_found_by_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(printk_ring, "_PAGE", 8)
    log = read_log(three_records(DESCS + 24).read, INFO)
    assert [(record.nanoseconds, record.text) for record in log.records] == [
        (0, b"first"),
        (1000, b"second"),
        (2000, b"third"),
    ]
    assert log.lost == 0


def test_a_record_without_its_info_keeps_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printk_ring, "_PAGE", 8)
    log = read_log(three_records(INFOS + 88 * 2 + 16).read, INFO)
    assert [(record.nanoseconds, record.text) for record in log.records] == [
        (0, b"first"),
        (1000, b"second"),
        (1000, b"third"),
    ]


@pytest.mark.parametrize("at", [RING, RING + 40])
def test_a_damaged_size_is_refused(at: int) -> None:
    ring = Ring()
    ring.put(at, "<I", 40)
    with pytest.raises(SymbolError, match="damaged"):
        ring.texts()


def test_a_head_far_away_makes_no_endless_walk() -> None:
    ring = Ring()
    ring.span(5, 1 << 61)
    assert ring.texts() == []


def test_a_kernel_without_such_a_ring() -> None:
    with pytest.raises(SymbolError, match="where the log is"):
        read_log(Ring().read, VmcoreInfo(b""))
    with pytest.raises(SymbolError, match=r"since 5\.10"):
        read_log(Ring().read, VmcoreInfo(b"SYMBOL(prb)=ffffffff82000000"))

"""VMCOREINFO that a dump came without, in made-up memory."""

from __future__ import annotations

import pytest

from oopsight.dump import DumpInfo
from oopsight.lost_vmcoreinfo import search, with_vmcoreinfo

PAGE = 4096
IMAGE = 0xFFFFFFFF80000000
BASE = 0x200000  # where the kernel's image lies
NAMES = 0x3000  # of init_uts_ns in the image
OFFSET = 4


class Memory:
    """8 MiB of physical memory, of which pages may be missing."""

    def __init__(self) -> None:
        self.data = bytearray(8 << 20)
        self.missing: set[int] = set()
        self.reads = 0

    def put(self, address: int, data: bytes) -> None:
        self.data[address : address + len(data)] = data

    def read(self, address: int, size: int) -> bytes | None:
        self.reads += 1
        pages = range(address // PAGE, -(-(address + size) // PAGE))
        if not self.missing.isdisjoint(pages) or address + size > len(self.data):
            return None
        return bytes(self.data[address : address + size])

    @property
    def ranges(self) -> list[tuple[int, int]]:
        return [(0, len(self.data))]


def note(release: str, base: int = BASE, *, page_size: int = PAGE) -> bytes:
    return (
        f"OSRELEASE={release}\nPAGESIZE={page_size}\n"
        f"SYMBOL(init_uts_ns)={IMAGE + NAMES:x}\nOFFSET(uts_namespace.name)={OFFSET}\n"
        f"NUMBER(phys_base)={base}\n"
    ).encode()


@pytest.fixture
def memory() -> Memory:
    """Of a machine that runs Linux 6.1.0."""
    made = Memory()
    made.put(BASE + NAMES + OFFSET, b"Linux".ljust(130, b"\0") + b"6.1.0\0")
    return made


def test_the_text_in_its_own_page(memory: Memory) -> None:
    memory.put(0x345000, note("6.1.0"))
    found = search(memory.read, memory.ranges)
    assert found is not None
    assert (found["OSRELEASE"], found["NUMBER(phys_base)"]) == ("6.1.0", str(BASE))


def test_the_note_that_goes_on_in_the_next_page(memory: Memory) -> None:
    text = note("6.1.0") + b"SYMBOL(last)=1\n".rjust(PAGE - 30, b"#")
    memory.put(0x345000 + 24, text[:PAGE])
    found = search(memory.read, memory.ranges)
    assert found is not None
    assert len(found.raw) > PAGE - 30


def test_a_note_that_does_not_tell_where_the_names_are(memory: Memory) -> None:
    told = f"OFFSET(uts_namespace.name)={OFFSET}\n".encode()
    memory.put(0x345000, note("6.1.0").replace(told, b""))
    assert search(memory.read, memory.ranges) is not None


def test_missing_pages_are_passed_over(memory: Memory) -> None:
    memory.missing = {0x300, 0x346}
    memory.put(0x345000, note("6.1.0"))
    assert search(memory.read, memory.ranges) is not None


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (0x345000, note("5.10.0")),  # of a kernel that ran before
        (0x345000, note("6.1.0", base=0x400000)),  # one that lay elsewhere
        (0x345000, note("6.1.0", page_size=65536)),
        (0x345100, note("6.1.0")),  # in the midst of a page: somebody's text
        (0x345000, b"OSRELEASE=%s\n\0"),
        (0x345000, b"OSRELEASE=6.1.0\nSYMBOL(init_uts_ns)=xyz\n"),
    ],
)
def test_what_is_not_the_running_kernels(memory: Memory, address: int, text: bytes) -> None:
    memory.put(address, text)
    assert search(memory.read, memory.ranges) is None
    memory.put(0x700000, note("6.1.0"))
    assert search(memory.read, memory.ranges) is not None


def test_only_the_memory_that_the_file_has_is_read(memory: Memory) -> None:
    memory.put(0x345000, note("6.1.0"))
    assert search(memory.read, [(0x400000, 0x1000), (0x600000, 0x2000)]) is None
    assert memory.reads == 2


def test_a_dump_with_its_note_is_left_alone() -> None:
    from pathlib import Path

    from oopsight.dump import VmcoreInfo

    info = DumpInfo(Path("/absent"), "elf", 0, "x86_64", VmcoreInfo(b"OSRELEASE=6.1.0"))
    assert with_vmcoreinfo(info) is info
    # One that cannot be opened at all is left to whoever opens it.
    without = DumpInfo(Path("/absent"), "elf", 0, "x86_64")
    assert with_vmcoreinfo(without) is without
    assert with_vmcoreinfo(DumpInfo(Path("/absent"), "elf", 0, "aarch64")).vmcoreinfo.raw == b""

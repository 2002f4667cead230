"""Headers made by hand: what a file is, and what is said where it is none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from oopsight.dump import identify
from oopsight.errors import DamagedDumpError, DumpError, NotADumpError

BLOCK = 4096
INFO = b"OSRELEASE=6.1.0-test\nBUILD-ID=00ff\nCRASHTIME=12\n"


def compressed(status: int = 1, split: int = 0, pages: int = 2) -> bytes:
    """A kdump-compressed dump of some pages of 16 bytes each."""
    header = bytearray(BLOCK)
    header[:8] = b"KDUMP   "
    struct.pack_into("<i", header, 8, 6)
    header[12 + 4 * 65 : 12 + 4 * 65 + 6] = b"x86_64"
    struct.pack_into("<IiiI", header, 424, status, BLOCK, 1, 2)
    sub = bytearray(BLOCK)
    struct.pack_into("<ii", sub, 8, 31, split)
    struct.pack_into("<qQ", sub, 32, BLOCK + 512, len(INFO))
    sub[512 : 512 + len(INFO)] = INFO
    bitmaps = bytes(BLOCK) + ((1 << pages) - 1).to_bytes(BLOCK, "little")
    data_at = 4 * BLOCK + 24 * pages
    table = b"".join(struct.pack("<qIIQ", data_at + 16 * i, 16, 0, 0) for i in range(pages))
    return bytes(header + sub) + bitmaps + table + bytes(16 * pages)


def elf(kind: int = 4, size: int = 64) -> bytes:
    note = struct.pack("<III", 11, len(INFO), 0) + b"VMCOREINFO\0\0" + INFO
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", kind, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    start = 64 + 2 * 56
    notes = struct.pack("<IIQQQQQQ", 4, 0, start, 0, 0, len(note), len(note), 4)
    load = struct.pack("<IIQQQQQQ", 1, 7, start + len(note), 0, 0, size, size, 1)
    return header + notes + load + note + bytes(64)


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "vmcore"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "form"), [(compressed(), "kdump-compressed"), (elf(), "elf")], ids=["kdump", "elf"]
)
def test_a_whole_dump(tmp_path: Path, data: bytes, form: str) -> None:
    info = identify(written(tmp_path, data))
    assert (info.format, info.machine, info.problems) == (form, "x86_64", ())
    assert (info.release, info.build_id) == ("6.1.0-test", "00ff")
    assert info.vmcoreinfo.crash_time == 12


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (compressed()[:-1], "cut off"),
        (compressed()[: 4 * BLOCK + 10], "within the page table"),
        (compressed(status=9), "incomplete"),
        (compressed(split=1), "split dump"),
        (elf(size=65), "cut off"),
        (elf(size=0), "no memory"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, data: bytes, problem: str) -> None:
    problems = identify(written(tmp_path, data)).problems
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (b"", NotADumpError, "empty"),
        (b"some text\n", NotADumpError, "no kernel dump"),
        (elf(kind=2), NotADumpError, "no core dump"),
        (elf()[:50], DamagedDumpError, "cut off"),
        (compressed()[:300], DamagedDumpError, "cut off"),
        (compressed()[: BLOCK + 50], DamagedDumpError, "cut off"),
        (b"makedumpfile\0" + bytes(100), DamagedDumpError, "cut off"),
    ],
)
def test_what_is_no_dump_is_refused_in_one_line(
    tmp_path: Path, data: bytes, error: type[DumpError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        identify(written(tmp_path, data))
    assert "\n" not in str(raised.value)


def test_a_directory_and_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(NotADumpError, match="directory"):
        identify(tmp_path)
    with pytest.raises(DumpError, match="no such file"):
        identify(tmp_path / "absent")

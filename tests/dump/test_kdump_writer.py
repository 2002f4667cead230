from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from oopsight.dump import identify
from oopsight.dump.formats.kdump_compressed import MINICORE
from oopsight.dump.kdump_writer import PAGE, Header, write_kdump
from oopsight.dump.notes import raw_notes
from oopsight.errors import DamagedDumpError

HEADER = Header(
    node="host",
    utsname=("Linux", "6.1.0-9", "#1 SMP", "x86_64", "(none)"),
    vmcoreinfo=b"OSRELEASE=6.1.0-9\nBUILD-ID=00AABB\n",
    notes=b"some notes",
    cpus=2,
    physical_base=0x1000000,
    seconds=17,
    remark=MINICORE,
)
PAGES = {
    7: b"seven" * 819 + b"x",
    8: bytes(PAGE),
    1000: bytes(PAGE),
    3: bytes(range(256)) * 16,
    70_001: b"\xff" * PAGE,
}


@pytest.fixture
def core(tmp_path: Path) -> Path:
    path = tmp_path / "mini.vmcore"
    with path.open("wb") as file:
        write_kdump(file, HEADER, PAGES)
    return path


def pages_of(data: bytes) -> dict[int, bytes]:
    """Read by the format's own description: second bitmap, descriptors, data."""
    sub_blocks, bitmap_blocks, most = struct.unpack_from("<iII", data, 432)
    start = (1 + sub_blocks) * PAGE
    half = bitmap_blocks * PAGE // 2
    valid, kept = data[start : start + half], data[start + half : start + 2 * half]
    frames = [frame for frame in range(most) if kept[frame // 8] >> frame % 8 & 1]
    assert all(valid[frame // 8] >> frame % 8 & 1 for frame in range(most))
    found = {}
    for index, frame in enumerate(frames):
        offset, size, flags, _ = struct.unpack_from("<qIIQ", data, start + 2 * half + 24 * index)
        content = data[offset : offset + size]
        found[frame] = zlib.decompress(content) if flags & 1 else content
    return found


def test_what_is_written_is_read_again(core: Path) -> None:
    assert pages_of(core.read_bytes()) == PAGES


def test_it_is_told_to_be_a_minicore(core: Path) -> None:
    info = identify(core)
    assert (info.format, info.machine, info.minicore) == ("kdump-compressed", "x86_64", True)
    assert (info.release, info.build_id) == ("6.1.0-9", "00aabb")
    assert info.complete
    assert raw_notes(info) == b"some notes"


def test_equal_pages_are_stored_once(tmp_path: Path) -> None:
    path = tmp_path / "core"
    sizes = []
    for count in (1, 500):
        with path.open("wb") as file:
            write_kdump(file, HEADER, dict.fromkeys(range(count), b"\xa5" * PAGE))
        sizes.append(path.stat().st_size)
    assert sizes[1] - sizes[0] == 499 * 24


def test_a_cut_one_is_damaged(core: Path) -> None:
    data = core.read_bytes()
    core.write_bytes(data[:-1])
    assert any("cut off" in problem for problem in identify(core).problems)
    core.write_bytes(data[: PAGE + 50])
    with pytest.raises(DamagedDumpError):
        identify(core)

"""A server's disk, written without mounting anything."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from oopslab import disk
from oopslab.server import _plain


def test_the_partition_table_names_one_linux_partition_to_the_end() -> None:
    table = disk._partition_table(64 << 20)
    assert len(table) == disk.SECTOR
    assert table.endswith(b"\x55\xaa")
    first, count = struct.unpack_from("<II", table, 446 + 8)
    assert table[446] == 0x80
    assert table[446 + 4] == 0x83
    assert first * disk.SECTOR == disk.START
    assert (first + count) * disk.SECTOR == 64 << 20


@pytest.mark.skipif(
    shutil.which("mke2fs", path="/usr/sbin:/sbin") is None, reason="mke2fs is not installed"
)
def test_what_is_written_can_be_taken_out_again(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "boot").mkdir(parents=True)
    (tree / "boot/vmlinuz").write_bytes(b"kernel" * 1000)
    image = tmp_path / "disk.img"
    disk.write(image, tree, 32 << 20, disk.UUID)
    assert image.stat().st_size == 32 << 20
    disk.extract(image, ("/boot",), tmp_path / "out")
    assert (tmp_path / "out/boot/vmlinuz").read_bytes() == b"kernel" * 1000


def test_colours_and_returns_are_taken_out_of_a_console() -> None:
    assert _plain(b"\x1b[0;1;31mfailed\x1b[0m\r\n\x1b[?2004hroot#") == "failed\nroot#"

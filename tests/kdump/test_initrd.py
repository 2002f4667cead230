from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oopsight.kdump import initrd
from oopslab.cpio import Archive


def archive(*names: str) -> bytes:
    made = Archive()
    for name in names:
        made.file(name, b"content" * 1000)
    return made.to_bytes()


def by_program(*argv: str) -> Callable[[bytes], bytes]:
    def compress(data: bytes) -> bytes:
        if shutil.which(argv[0]) is None:
            pytest.skip(f"{argv[0]} is not installed")
        return subprocess.run(argv, input=data, capture_output=True, check=True).stdout

    return compress


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": by_program("zstd", "-c"),
    "lz4": by_program("lz4", "-lc"),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_names_behind_microcode_and_compression(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "initrd.img"
    first = archive("kernel/x86/microcode/GenuineIntel.bin")
    rest = archive("init", "usr/lib/modules/6.1/kernel/virtio_blk.ko")
    path.write_bytes(first + bytes(512) + PACKERS[packer](rest))
    found = initrd.names(path)
    assert {"kernel/x86/microcode/GenuineIntel.bin", "init"} <= found
    assert "usr/lib/modules/6.1/kernel/virtio_blk.ko" in found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MZ no initrd at all", "unknown format"),
        (archive("init")[:200], "cut off"),
        (gzip.compress(archive("init"))[:100], "unpacked"),
        (archive("init").replace(b"070701", b"07070Z", 2)[110:], "unknown format"),
        (b"070701" + b"Z" * 104, "damaged"),
        (b"070701" + b"F" * 104, "impossible length"),
    ],
)
def test_what_is_no_initrd_is_said_so(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "initrd.img"
    path.write_bytes(content)
    with pytest.raises(initrd.UnreadableError, match=message):
        initrd.names(path)


def test_a_size_that_never_ends_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "initrd.img"
    whole = archive("init")
    path.write_bytes(whole[:54] + b"FFFFFFF0" + whole[62:])
    with pytest.raises(initrd.UnreadableError):
        initrd.names(path)

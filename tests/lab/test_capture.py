from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import pytest

from oopslab import capture
from oopslab.errors import LabError
from oopslab.initramfs import distribution_modules
from oopslab.kernel import Kernel
from oopslab.scenario import load


def test_a_qemu_header_becomes_one_that_makedumpfile_reads(tmp_path: Path) -> None:
    elf_header = struct.Struct("<16sHHIQQQIHHHHHH")
    program_headers = bytes(range(112))
    path = tmp_path / "memory.elf"
    qemu = elf_header.pack(b"\x7fELF", 4, 62, 1, 0, 192, 64, 0, 8, 56, 2, 64, 2, 1)
    path.write_bytes(qemu + b"\xee" * 128 + program_headers + b"notes")
    capture._mend_elf_header(path)
    data = path.read_bytes()
    assert elf_header.unpack_from(data)[5:] == (64, 0, 0, 64, 56, 2, 64, 0, 0)
    assert data[64 : 64 + 112] == program_headers
    assert data.endswith(b"notes")


def test_slab_pages_are_kept_where_makedumpfile_would_lose_them() -> None:
    incident, overfiltered = load("incident"), load("incident-overfiltered")
    old, new = Kernel("6.1", "6.1.0-1", "bookworm"), Kernel("6.12", "6.12.1", "bookworm")
    assert capture.dump_level(incident, old) == 31
    assert capture.dump_level(incident, new) == 1
    assert capture.dump_level(overfiltered, new) == 31


def test_a_snapshot_is_unpacked_and_does_not_leave_its_folder(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with tarfile.open(disk, "w") as archive:
        for name in ("1/status", "../../escape"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    with disk.open("ab") as file:
        file.truncate(1 << 20)
    capture.unpack_snapshot(disk, tmp_path / "guest")
    assert (tmp_path / "guest/1/status").read_bytes() == b"abc"
    assert not (tmp_path.parent / "escape").exists()


def test_an_empty_disk_is_no_snapshot(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    with pytest.raises(LabError, match="saved no /proc files"):
        capture.unpack_snapshot(disk, tmp_path / "guest")


def test_modules_are_loaded_after_what_they_need(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import lzma

    monkeypatch.setenv("OOPSIGHT_LAB_CACHE", str(tmp_path))
    kernel = Kernel("6.1", "6.1.0-1", "bookworm")
    folder = kernel.directory / "lib/modules/6.1.0-1/kernel"
    folder.mkdir(parents=True)
    (folder / "virtio.ko").write_bytes(b"ELF\0depends=\0")
    (folder / "virtio-ring.ko.xz").write_bytes(lzma.compress(b"ELF\0depends=virtio\0"))
    (folder / "virtio_blk.ko").write_bytes(b"ELF\0depends=virtio,virtio-ring\0")
    found = distribution_modules(kernel, ("virtio_blk", "built_in"))
    assert [name for name, _ in found] == ["virtio", "virtio_ring", "virtio_blk"]
    assert found[1][1] == b"ELF\0depends=virtio\0"

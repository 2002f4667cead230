"""What a dump file is, told from its headers: whole, damaged, and no dump at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade_files import BLOCK, VMCOREINFO, elf, kdump, note, vmlinux

from oopsight.dump import identify
from oopsight.errors import DamagedDumpError, DumpError, NotADumpError


@pytest.fixture
def core(tmp_path: Path) -> Path:
    return tmp_path / "vmcore"


def test_an_elf_dump(core: Path) -> None:
    core.write_bytes(elf(note(b"VMCOREINFO", 0, VMCOREINFO), b"m" * 64))
    info = identify(core)
    assert (info.format, info.machine, info.complete) == ("elf", "x86_64", True)
    assert (info.release, info.build_id) == ("6.1.0-9-amd64", "00aabb")
    assert (info.vmcoreinfo.kaslr_offset, info.vmcoreinfo.crash_time) == (0x1C000000, 17)


def test_a_big_endian_elf_dump(core: Path) -> None:
    core.write_bytes(elf(note(b"VMCOREINFO", 0, VMCOREINFO, ">"), b"m" * 64, machine=22, order=">"))
    info = identify(core)
    assert (info.machine, info.release) == ("s390x", "6.1.0-9-amd64")


def test_a_kdump_compressed_dump(core: Path) -> None:
    core.write_bytes(kdump())
    info = identify(core)
    assert (info.format, info.machine, info.compression) == ("kdump-compressed", "x86_64", "zstd")
    assert (info.dump_level, info.build_id, info.problems) == (31, "00aabb", ())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (elf(note(b"VMCOREINFO", 0, VMCOREINFO), b"m" * 64)[:-10], "cut off"),
        (elf(note(b"VMCOREINFO", 0, VMCOREINFO)), "no memory at all"),
        (kdump()[:-1], "cut off"),
        (kdump()[: 4 * BLOCK + 30], "cut off within the page table"),
        (kdump(status=0x28), "marked it incomplete"),
        (kdump(split=1), "one part of a split dump"),
    ],
    ids=["elf-cut", "elf-empty", "pages-cut", "descriptors-cut", "incomplete", "split"],
)
def test_a_dump_that_is_not_whole_is_still_identified(
    core: Path, content: bytes, problem: str
) -> None:
    core.write_bytes(content)
    info = identify(core)
    assert info.release == "6.1.0-9-amd64"
    assert not info.complete
    assert [p for p in info.problems if problem in p]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (elf(b"")[:40], "headers are cut off"),
        (elf(b"")[:100], "headers are cut off"),
        (b"\x7fELF\x01" + b"\0" * 80, "32-bit"),
        (kdump()[:300], "header is cut off"),
        (kdump()[: BLOCK + 20], "second header is cut off"),
        (kdump(block_size=5000), "block size 5000"),
        (kdump(sub_blocks=-1), "damaged"),
    ],
)
def test_damaged_headers(core: Path, content: bytes, message: str) -> None:
    core.write_bytes(content)
    with pytest.raises(DamagedDumpError, match=message) as raised:
        identify(core)
    assert str(core) in str(raised.value)


@pytest.mark.parametrize("length", range(1, len(kdump()), 211))
def test_a_dump_cut_off_anywhere_is_never_called_whole(core: Path, length: int) -> None:
    core.write_bytes(kdump()[:length])
    try:
        complete = identify(core).complete
    except DumpError:
        complete = False
    assert not complete


def test_a_vmcoreinfo_length_from_a_hostile_header_is_bounded(core: Path) -> None:
    content = bytearray(kdump())
    content[BLOCK + 40 : BLOCK + 48] = b"\xff" * 8
    core.write_bytes(content)
    assert len(identify(core).vmcoreinfo.raw) <= 1 << 20


def test_no_dump(core: Path) -> None:
    core.write_text("Kernel panic - not syncing\n")
    with pytest.raises(NotADumpError, match="no kernel dump: it begins with b'Kernel p'"):
        identify(core)
    core.write_bytes(b"")
    with pytest.raises(NotADumpError, match="check the space on the dump target"):
        identify(core)
    core.write_bytes(vmlinux(b"\1"))
    with pytest.raises(NotADumpError, match="--vmlinux"):
        identify(core)
    with pytest.raises(NotADumpError, match="give the vmcore file inside it"):
        identify(core.parent)
    with pytest.raises(DumpError, match="no such file"):
        identify(core.with_name("absent"))


def test_no_permission(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core.write_bytes(kdump())

    def refuse(*_: object) -> None:  # root may read everything, so a mode would not do
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DumpError, match=r"permission denied.*sudo"):
        identify(core)

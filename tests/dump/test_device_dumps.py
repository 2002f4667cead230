"""Device dumps in the notes of both formats of a dump."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from oopsight.dump.device_dumps import device_dumps

CONTENT = b"\x11\x22\x33\x44\x55"


def _note(name: bytes, kind: int, data: bytes) -> bytes:
    head = struct.pack("<III", len(name), len(data), kind)
    return (
        head + name.ljust(-(-len(name) // 4) * 4, b"\0") + data.ljust(-(-len(data) // 4) * 4, b"\0")
    )


NOTES = (
    _note(b"CORE\0", 1, bytes(336))
    + _note(b"LINUX\0\0\0", 0x700, b"cxgb4_0000:02:00.4".ljust(44, b"\0") + CONTENT)
    + _note(b"VMCOREINFO\0", 0, b"OSRELEASE=6.1\n")
)


def _elf(notes: bytes) -> bytes:
    header = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(notes), len(notes), 4) + notes


def _kdump(notes: bytes, version: int = 6) -> bytes:
    head = bytearray(4096)
    head[:8] = b"KDUMP   "
    struct.pack_into("<i", head, 8, version)
    struct.pack_into("<i", head, 428, 4096)
    sub = bytearray(4096)
    struct.pack_into("<qQ", sub, 48, 8192, len(notes))
    return bytes(head + sub) + notes


@pytest.mark.parametrize("make", [_elf, _kdump])
def test_a_device_dump_is_found_by_its_name(make: object, tmp_path: Path) -> None:
    assert callable(make)
    path = tmp_path / "vmcore"
    path.write_bytes(make(NOTES))
    (found,) = device_dumps(path)
    assert (found.name, found.size) == ("cxgb4_0000:02:00.4", len(CONTENT))
    assert path.read_bytes()[found.offset : found.offset + found.size] == CONTENT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a dump",
        _elf(NOTES)[:100],
        _elf(NOTES)[:500],
        _elf(_note(b"LINUX\0\0\0", 0x700, bytes(20))),
        _kdump(NOTES)[:6000],
        _kdump(NOTES, version=3),
        _kdump(b"\xff" * 64),
    ],
)
def test_where_there_is_none_nothing_is_found(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(data)
    assert device_dumps(path) == []

"""Writes makedumpfile's kdump-compressed format, for dumps of few pages.

The layout is described in :mod:`oopsight.dump.formats.kdump_compressed`. Pages are compressed with
zlib, which every reader of the format knows.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO

from oopsight.cheap import dataclass

PAGE = 4096
_VERSION = 6
_ZLIB = 0x01
_DESCRIPTOR = struct.Struct("<qIIQ")
_SUB_HEADER = struct.Struct("<QiiQQqQqQqQQQQ")
_LEFT_OUT = 31  # zero pages, caches, user and free pages: makedumpfile's -d 31
# Beyond so many page frames (64 GiB), bits of pages that are not kept are not written: a file of
# few pages shall not carry megabytes of ones.
_MOST_VALID = 16 << 20


@dataclass(frozen=True)
class Header:
    """What a kdump file says of the machine."""

    node: str
    """The host's name."""
    utsname: tuple[str, ...]
    """System, release, version, machine, domain: the rest of ``uname``."""
    vmcoreinfo: bytes
    notes: bytes
    """Raw ELF notes, of the CPUs' registers above all."""
    cpus: int
    physical_base: int
    seconds: int
    """Since the epoch; 0 where unknown."""
    remark: bytes
    """Stands in the section for what makedumpfile erased."""


def _aligned(size: int) -> int:
    return -(-size // PAGE) * PAGE


def write_kdump(file: BinaryIO, header: Header, pages: Mapping[int, bytes]) -> None:
    """Write a whole dump.

    :param file: empty, and seekable
    :param pages: by page frame number, each :data:`PAGE` bytes
    :raises OSError: if it cannot be written
    """
    frames = sorted(pages)
    most = (frames[-1] + 1) if frames else 1
    extra = header.vmcoreinfo + header.notes + header.remark
    sub_blocks = _aligned(_SUB_HEADER.size + len(extra)) // PAGE
    bitmap = _aligned(-(-most // 8))
    file.write(_first_block(header, sub_blocks, 2 * bitmap // PAGE, most, len(frames)))
    at = PAGE + _SUB_HEADER.size
    places = []
    for part in (header.vmcoreinfo, header.notes, header.remark):
        places += [at if part else 0, len(part)]
        at += len(part)
    file.seek(PAGE)
    file.write(_SUB_HEADER.pack(header.physical_base, _LEFT_OUT, 0, 0, 0, *places, 0, most, most))
    file.write(extra)
    kept = bytearray(bitmap)
    for frame in frames:
        kept[frame // 8] |= 1 << frame % 8
    valid = b"\xff" * -(-most // 8) if most <= _MOST_VALID else bytes(kept)
    start = (1 + sub_blocks) * PAGE
    for number, bits in enumerate((valid, kept)):
        file.seek(start + number * bitmap)
        file.write(bytes(bits).rstrip(b"\0"))
    _write_pages(file, start + 2 * bitmap, [pages[frame] for frame in frames])


def _first_block(
    header: Header, sub_blocks: int, bitmap_blocks: int, most: int, kept: int
) -> bytes:
    texts = (header.utsname[0], header.node, *header.utsname[1:])
    names = b"".join(text.encode("utf-8", "replace")[:64].ljust(65, b"\0") for text in texts)
    block = struct.pack("<8si", b"KDUMP   ", _VERSION) + names
    block = block.ljust(408, b"\0") + struct.pack("<qq", header.seconds, 0)
    block += struct.pack("<IiiI", _ZLIB, PAGE, sub_blocks, bitmap_blocks)
    clipped = min(most, 0xFFFFFFFF)
    block += struct.pack("<IIIIIi", clipped, 0, 0, kept, 0, header.cpus)
    return block.ljust(PAGE, b"\0")


def _write_pages(file: BinaryIO, start: int, contents: list[bytes]) -> None:
    """Page table, then the data, equal pages once."""
    at = start + _DESCRIPTOR.size * len(contents)
    descriptors, written = [], {}
    file.seek(at)
    for content in contents:
        if content not in written:
            packed, flags = zlib.compress(content, 9), _ZLIB
            if len(packed) >= PAGE:
                packed, flags = content, 0
            file.write(packed)
            written[content] = _DESCRIPTOR.pack(at, len(packed), flags, 0)
            at += len(packed)
        descriptors.append(written[content])
    file.seek(start)
    file.write(b"".join(descriptors))
    file.seek(at)
    file.truncate()

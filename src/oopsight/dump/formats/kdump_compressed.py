"""makedumpfile's kdump-compressed format, also written by QEMU's dump-guest-memory.

Layout: ``struct disk_dump_header`` in block 0, ``struct kdump_sub_header`` in block 1, two bitmaps
(valid pages, dumped pages), one 24-byte descriptor per dumped page, then the page data; see
makedumpfile's IMPLEMENTATION file.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Protocol

from oopsight.dump.info import DumpInfo, VmcoreInfo
from oopsight.errors import DamagedDumpError

MINICORE = b"minicore\n"
"""Where makedumpfile notes what it erased: the file holds only what an analysis read."""
_SIGNATURES = (b"KDUMP   ", b"DISKDUMP")
_COMPRESSION = {0x01: "zlib", 0x02: "lzo", 0x04: "snappy", 0x20: "zstd"}
_INCOMPLETE = 0x08
_PAGE_DESCRIPTOR = 24
_MAX_VMCOREINFO = 1 << 20
_MAX_BITMAP = 1 << 34
_CHUNK = 1 << 24
HEADER_SIZE = 464
SUB_HEADER_SIZE = 104


class Readable(Protocol):
    """A file, or what behaves like one."""

    def seek(self, offset: int, /) -> int:
        """Go to an offset from the start."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes."""


def matches(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is in this format."""
    return head.startswith(_SIGNATURES)


def block_size(header: bytes) -> int:
    """Bytes of a block, out of the first :data:`HEADER_SIZE` bytes of the file."""
    size: int = struct.unpack_from("<i", header, 428)[0]
    return size


def _string(field: bytes) -> str | None:
    return field.split(b"\0")[0].decode("ascii", "replace") or None


def _dumped_pages(file: Readable, offset: int, size: int) -> int:
    """Pages that the second bitmap says are in the dump.

    :param offset: of the second bitmap in the file
    :param size: of it, bytes
    """
    file.seek(offset)
    pages = 0
    while size > 0:
        chunk = file.read(min(size, _CHUNK))
        if not chunk:
            break
        pages += int.from_bytes(chunk, "little").bit_count()
        size -= len(chunk)
    return pages


def _missing_data(file: Readable, descriptors: int, pages: int, size: int) -> str | None:
    """Say how the page data is cut off, or ``None``: data is written in the descriptors' order."""
    end = descriptors + pages * _PAGE_DESCRIPTOR
    if end > size:
        return f"it is cut off within the page table: {size} of at least {end} bytes are there"
    tail = min(pages, 64)
    file.seek(end - tail * _PAGE_DESCRIPTOR)
    data = file.read(tail * _PAGE_DESCRIPTOR)
    for offset, length in (
        struct.unpack_from("<qI", data, position)
        for position in range(0, len(data), _PAGE_DESCRIPTOR)
    ):
        end = max(end, offset + length)
    return f"it is cut off: {size} of {end} bytes are there" if end > size else None


def read(file: BinaryIO, path: Path) -> DumpInfo:
    """Read the headers and check that the last page is there.

    :raises DamagedDumpError: if the headers are cut off or make no sense
    """
    return read_from(file, path, path.stat().st_size)


def read_from(file: Readable, path: Path, size: int) -> DumpInfo:
    """Do the same for a dump inside another file.

    :param path: for messages
    :param size: of the dump, bytes
    """
    header = file.read(HEADER_SIZE)
    if len(header) < HEADER_SIZE:
        raise DamagedDumpError(f"{path}: the dump header is cut off; copy the dump again")
    version = struct.unpack_from("<i", header, 8)[0]
    utsname = [_string(header[12 + 65 * i : 77 + 65 * i]) for i in range(6)]
    status, block_size, sub_blocks, bitmap_blocks, highest = struct.unpack_from(
        "<IiiII", header, 424
    )
    if block_size < 4096 or block_size > 1 << 20 or block_size & (block_size - 1):
        raise DamagedDumpError(f"{path}: the dump header is damaged (block size {block_size})")
    file.seek(block_size)
    sub_header = file.read(SUB_HEADER_SIZE)
    if len(sub_header) < SUB_HEADER_SIZE:
        raise DamagedDumpError(f"{path}: the dump's second header is cut off; copy it again")
    if version >= 6:
        highest = struct.unpack_from("<Q", sub_header, 96)[0]
    dump_level, split = struct.unpack_from("<ii", sub_header, 8)
    vmcoreinfo = b""
    if version >= 3:
        offset, length = struct.unpack_from("<qQ", sub_header, 32)
        if offset > 0:
            file.seek(offset)
            vmcoreinfo = file.read(min(length, _MAX_VMCOREINFO)).rstrip(b"\0")

    minicore = False
    if version >= 5:
        offset, length = struct.unpack_from("<qQ", sub_header, 64)
        if offset > 0 and length < _MAX_VMCOREINFO:
            file.seek(offset)
            minicore = file.read(len(MINICORE)) == MINICORE
    problems = []
    if status & _INCOMPLETE:
        problems.append("makedumpfile itself marked it incomplete (the target ran out of space)")
    if version >= 2 and split:
        first, last = struct.unpack_from("<qq", sub_header, 16)
        problems.append(
            f"it is one part of a split dump, with the page frames {first:#x} to {last:#x}; join "
            "all parts first: makedumpfile --reassemble PART... WHOLE"
        )
    bitmap = bitmap_blocks * block_size
    if sub_blocks < 0 or bitmap > _MAX_BITMAP:
        raise DamagedDumpError(f"{path}: the dump header is damaged (bitmap of {bitmap} bytes)")
    bitmap_at = (1 + sub_blocks) * block_size
    pages = _dumped_pages(file, bitmap_at + bitmap // 2, bitmap // 2)
    missing = _missing_data(file, bitmap_at + bitmap, pages, size)
    if missing:
        problems.append(missing)
    return DumpInfo(
        path=path,
        format="kdump-compressed",
        size=size,
        machine=utsname[4],
        vmcoreinfo=VmcoreInfo(vmcoreinfo),
        memory=((0, min(highest, bitmap * 4) * block_size),),  # a bit for each page, twice
        compression=next((name for bit, name in _COMPRESSION.items() if status & bit), None),
        dump_level=dump_level if version >= 1 else None,
        minicore=minicore,
        problems=tuple(problems),
    )

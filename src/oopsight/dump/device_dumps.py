"""Device dumps: memory of devices that their drivers saved in the capture kernel, before the copy.

Each is an ELF note of the vmcore (fs/proc/vmcore.c, CONFIG_PROC_VMCORE_DEVICE_DUMP), which
makedumpfile keeps among the notes of a compressed dump.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from oopsight.cheap import dataclass
from oopsight.dump.elf import MAGIC, PT_NOTE, ElfFile, MalformedElfError

_NT_VMCOREDD = 0x700
_NAME_BYTES = 44  # struct vmcoredd_header, dump_name
_KDUMP = b"KDUMP   "
_SUB_HEADER_NOTES = 48  # struct kdump_sub_header, offset_note and size_note (version 4 and later)
_MOST = 10_000


@dataclass(frozen=True)
class DeviceDump:
    """What one device had."""

    name: str
    """As the driver called it."""
    offset: int
    """Of its first byte in the dump file."""
    size: int
    """Bytes."""


def device_dumps(path: Path) -> list[DeviceDump]:
    """The device dumps of a dump file; none where its format has no place for them.

    :raises OSError: if the file cannot be read
    """
    with path.open("rb") as file:
        return [found for start, size in _notes(file) for found in _among(file, start, size)]


def _notes(file: BinaryIO) -> list[tuple[int, int]]:
    """Where the notes lie in the file: offset and bytes."""
    head = file.read(4096)
    if head.startswith(MAGIC):
        try:
            file.seek(0)
            segments = ElfFile(file).segments()
        except MalformedElfError:
            return []
        return [(s.offset, s.file_size) for s in segments if s.type == PT_NOTE]
    if not head.startswith(_KDUMP) or len(head) < 4096:
        return []
    (version,) = struct.unpack_from("<i", head, 8)
    (block,) = struct.unpack_from("<i", head, 428)
    if version < 4 or not 4096 <= block <= 1 << 20:
        return []
    file.seek(block)
    sub = file.read(4096)
    if len(sub) < _SUB_HEADER_NOTES + 16:
        return []
    return [struct.unpack_from("<qQ", sub, _SUB_HEADER_NOTES)]


def _among(file: BinaryIO, start: int, size: int) -> Iterator[DeviceDump]:
    """Those in one block of notes; a note that reaches beyond its block ends the walk."""
    end = file.seek(0, 2)
    if not 0 < start <= end:
        return
    end = min(end, start + size)
    at = start
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(12)
        if len(head) < 12 or at + 12 > end:
            return
        name_size, data_size, kind = struct.unpack("<III", head)
        data_at = at + 12 + (name_size + 3 & ~3)
        if data_at + data_size > end:
            return
        if kind == _NT_VMCOREDD and data_size > _NAME_BYTES:
            file.seek(data_at)
            name = file.read(_NAME_BYTES).partition(b"\0")[0].decode("ascii", "replace")
            yield DeviceDump(name, data_at + _NAME_BYTES, data_size - _NAME_BYTES)
        at = data_at + (data_size + 3 & ~3)

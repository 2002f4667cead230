"""makedumpfile's flattened format (``-F``), as it arrives over a pipe or SSH.

A header of 4096 bytes, then the parts of a dump in the order of writing: each an offset and a size,
two big-endian 64-bit numbers, and that many bytes. A later part may overwrite an earlier one. An
offset of -1 ends the file. See makedumpfile's ``struct makedumpfile_data_header``.
"""

from __future__ import annotations

import io
import struct
from array import array
from pathlib import Path
from typing import BinaryIO

from oopsight.cheap import replace
from oopsight.dump.formats import kdump_compressed
from oopsight.dump.info import DumpInfo
from oopsight.errors import DamagedDumpError, DumpError

_SIGNATURE = b"makedumpfile\0"
_HEADER = 4096
_PART = struct.Struct(">qq")
_MOST_PARTS = 1 << 24
_CHUNK = 1 << 20


class Flattened(io.RawIOBase):
    """The dump that the parts make up; what no part covers reads as zeros."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._offsets, self._sizes, self._places = array("q"), array("q"), array("q")
        self._position = 0
        self.complete = False
        """Whether the mark that ends the file is there."""
        self.end = 0
        """Size of the dump, as far as its parts are there."""
        size = file.seek(0, io.SEEK_END)
        place = _HEADER
        while len(self._offsets) < _MOST_PARTS:
            file.seek(place)
            head = file.read(_PART.size)
            if len(head) < _PART.size:
                break
            offset, length = _PART.unpack(head)
            if offset < 0 or length <= 0:
                self.complete = offset == -1
                break
            place += _PART.size
            length = min(length, size - place)
            if length <= 0:
                break
            self._offsets.append(offset)
            self._sizes.append(length)
            self._places.append(place)
            self.end = max(self.end, offset + length)
            place += length

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; only from the start."""
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("seek from elsewhere than the start")
        self._position = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        """Read up to the end of the dump."""
        start = self._position
        stop = self.end if size < 0 else min(self.end, start + size)
        if stop <= start:
            return b""
        result = bytearray(stop - start)
        for offset, length, place in zip(self._offsets, self._sizes, self._places, strict=True):
            first, last = max(start, offset), min(stop, offset + length)
            if first < last:
                self._file.seek(place + first - offset)
                data = self._file.read(last - first)
                result[first - start : first - start + len(data)] = data
        self._position = stop
        return bytes(result)

    def copy_to(self, target: BinaryIO) -> None:
        """Write the dump in its right order; holes stay holes."""
        for offset, length, place in zip(self._offsets, self._sizes, self._places, strict=True):
            self._file.seek(place)
            target.seek(offset)
            left = length
            while left > 0:
                data = self._file.read(min(left, _CHUNK))
                if not data:
                    return
                target.write(data)
                left -= len(data)
        target.flush()


def matches(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is in this format."""
    return head.startswith(_SIGNATURE)


def read(file: BinaryIO, path: Path) -> DumpInfo:
    """Read the headers of the dump within.

    :raises DamagedDumpError: if they are cut off
    :raises DumpError: if the dump within is in another format than makedumpfile's
    """
    whole = Flattened(file)
    head = whole.read(8)
    if not head:
        raise DamagedDumpError(f"{path}: the dump is cut off before its header; copy it again")
    if not kdump_compressed.matches(head):
        raise DumpError(
            f"{path} is a flattened dump of another format; "
            f"put it in order first: makedumpfile -R {path}.ordered < {path}"
        )
    whole.seek(0)
    info = kdump_compressed.read_from(whole, path, whole.end)
    problems = info.problems
    if not whole.complete and not any("cut off" in problem for problem in problems):
        problems += ("it is cut off: the mark that ends a flattened dump is missing",)
    return replace(info, format="kdump-flattened", size=path.stat().st_size, problems=problems)

"""The seal of a pack: a note with its version and a checksum over the whole file.

A pack is trusted only while its seal holds, so that a bit which flipped on disk, or a file that was
cut off, makes no wrong answer but no answer.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import zlib
from pathlib import Path

from oopsight.errors import SymbolError

VERSION = 8
"""Changes with the contents of packs; older ones are built anew."""
TABLE = 0x6ADBE085
"""CRC-32 of ``pack/variables.txt``, which the contents depend on too."""
_OWNER = b"Oopsight"
_KIND = 1
_DESCRIPTION = struct.Struct("<IIIQ")
"""Version, table, checksum (CRC-32 of the file with this field 0), size of the file."""
_HEAD = struct.pack("<III", 9, _DESCRIPTION.size, _KIND) + _OWNER + bytes(4)
PACK_NOTE = _HEAD + _DESCRIPTION.pack(VERSION, TABLE, 0, 0)
"""The note before it is filled."""
_SEARCHED = 4096


class BrokenPackError(SymbolError):
    """A file that is no pack, or no longer whole, or of another version."""


def sealed(image: bytes) -> bytes:
    """The pack with its seal filled in.

    :param image: an ELF file whose first 4096 bytes hold the note, not filled in
    """
    at = image.index(PACK_NOTE) + len(_HEAD)
    body = bytearray(image)
    body[at : at + _DESCRIPTION.size] = _DESCRIPTION.pack(VERSION, TABLE, 0, len(body))
    checksum = zlib.crc32(body)
    body[at : at + _DESCRIPTION.size] = _DESCRIPTION.pack(VERSION, TABLE, checksum, len(body))
    return bytes(body)


def is_pack(path: Path) -> bool:
    """Whether a file bears a seal, be it whole or not."""
    try:
        with path.open("rb") as file:
            return _HEAD in file.read(_SEARCHED)
    except OSError:
        return False


def check_seal(path: Path) -> None:
    """Read a pack through.

    :raises BrokenPackError: if it is not what was sealed
    :raises OSError: if it cannot be read
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_SEARCHED)
        found = head.find(_HEAD)
        at = found + len(_HEAD)
        if found < 0 or at + _DESCRIPTION.size > len(head):
            raise BrokenPackError("no symbol pack")
        version, table, checksum, length = _DESCRIPTION.unpack_from(head, at)
        if (version, table) != (VERSION, TABLE):
            raise BrokenPackError("a symbol pack made by another version of Oopsight")
        if length != size:
            raise BrokenPackError(f"cut off or grown: {size} bytes instead of {length}")
        blank = bytearray(head)
        blank[at : at + _DESCRIPTION.size] = _DESCRIPTION.pack(version, table, 0, length)
        actual = zlib.crc32(blank)
        # Mapped, as drgn and the lookup of symbols have it too: a copy would cost as much again.
        with (
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as whole,
            memoryview(whole) as view,
            view[len(head) :] as rest,
        ):
            actual = zlib.crc32(rest, actual)
    if actual != checksum:
        raise BrokenPackError("damaged: its checksum does not hold")


class SealCheck:
    """:func:`check_seal` in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            check_seal(self._path)
        except Exception as error:  # noqa: BLE001  # raised in finish()
            self._error = error

    def finish(self) -> None:
        """Wait for what came of it; raises as the function does."""
        self._thread.join()
        if self._error is not None:
            raise self._error

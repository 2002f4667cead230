"""Packs compressed with zstd, as they are copied from machine to machine: ``NAME.pack.zst``.

A pack that is read is never compressed: it is mapped, and little of it is looked at.
"""

from __future__ import annotations

import os
from pathlib import Path

from oopsight.errors import SymbolError

SUFFIX = ".zst"
_MAGIC = b"\x28\xb5\x2f\xfd"
_LARGEST = 1 << 30
_LEVEL = 10


def is_compressed(path: Path) -> bool:
    """Whether a file begins as zstd does."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def compressed(image: bytes) -> bytes:
    """The pack, compressed to less than half."""
    import zstandard

    return zstandard.compress(image, _LEVEL)


def contents(path: Path) -> bytes:
    """A pack's contents, decompressed.

    :raises SymbolError: if it cannot be read, is damaged or endless
    """
    import zstandard

    try:
        data = path.read_bytes()
        size = zstandard.frame_content_size(data)
        if not 0 < size <= _LARGEST:
            raise SymbolError(f"{path}: no symbol pack: it would be {size} bytes")
        return zstandard.decompress(data)
    except OSError as error:
        raise SymbolError(f"{path}: {error.strerror or error}") from None
    except zstandard.ZstdError as error:
        raise SymbolError(f"{path}: cannot be decompressed: {error}") from None


def in_memory(image: bytes) -> Path:
    """A file without a place on disk, for as long as this process runs.

    :raises SymbolError: if there is not enough memory for it
    """
    try:
        handle = os.memfd_create("oopsight-pack")
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(image)
    except OSError as error:
        raise SymbolError(f"no room for a pack of {len(image)} bytes: {error.strerror}") from None
    return Path(f"/proc/self/fd/{handle}")


def readable(path: Path) -> Path:
    """The file itself; of a compressed one, its contents in memory.

    :raises SymbolError: if it is damaged
    """
    return in_memory(contents(path)) if is_compressed(path) else path

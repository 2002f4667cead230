"""What is in an initial RAM disk: names of files only, nothing is unpacked.

An initrd is one cpio archive ("newc") after another, the first ones (microcode) uncompressed, the
last mostly compressed; see Documentation/driver-api/early-userspace/buffer-format.rst. gzip, xz,
lzma and bzip2 are in Python; zstd, lz4 and lzop are asked of the programs of these names, which
get data and give data.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

CPIO = (b"070701", b"070702")
HEADER = 110
MAX_FILES = 100_000
MAX_BYTES = 4 << 30  # unpacked; more is no initrd
MAX_NAME = 4096
CHUNK = 1 << 20
END = "TRAILER!!!"

PROGRAMS = {
    b"\x28\xb5\x2f\xfd": ("zstd", "-dcq"),
    b"\x02\x21\x4c\x18": ("lz4", "-dcq"),
    b"\x04\x22\x4d\x18": ("lz4", "-dcq"),
    b"\x89LZO": ("lzop", "-dcq"),
}


class UnreadableError(Exception):
    """The archive cannot be listed; the message says why."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""


class _Stream:
    """Bytes in order, with a look ahead: decompressors and pipes cannot go back."""

    def __init__(self, source: _Readable) -> None:
        self._source = source
        self._ahead = b""
        self.position = 0

    def peek(self, length: int) -> bytes:
        """The next bytes without taking them; fewer at the end."""
        while len(self._ahead) < length:
            more = self._source.read(CHUNK)
            if not more:
                break
            self._ahead += more
        return self._ahead[:length]

    def read(self, length: int) -> bytes:
        """Exactly so many bytes."""
        if self.position + length > MAX_BYTES:
            raise UnreadableError("it is larger than any initrd")
        data = self.peek(length)
        if len(data) < length:
            raise UnreadableError("it is cut off")
        self._ahead = self._ahead[length:]
        self.position += length
        return data

    def skip(self, length: int) -> None:
        """Pass over so many bytes."""
        while length:
            length -= len(self.read(min(length, CHUNK)))

    def magic(self) -> bytes:
        """Pass over zeros, which pad archives, and return the next six bytes without taking them.

        An archive's magic begins at a multiple of four, and with none of its bytes zero.
        """
        while (ahead := self.peek(CHUNK)) and not ahead.strip(b"\0"):
            self.skip(len(ahead))
        self.skip(len(ahead) - len(ahead.lstrip(b"\0")))
        return self.peek(len(CPIO[0]))


def names(path: Path) -> frozenset[str]:
    """List the files of an initrd.

    :raises UnreadableError: no initrd, damaged, or compressed by a program that is not installed
    """
    try:
        with path.open("rb") as file:
            return frozenset(_names(file))
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UnreadableError(f"it cannot be unpacked: {error}") from error


def _names(file: BinaryIO) -> Iterator[str]:
    stream = _Stream(file)
    while (magic := stream.magic()) in CPIO:
        yield from _archive(stream)
    if not magic:
        return
    file.seek(stream.position)
    with _unpacked(file, magic) as unpacked:
        stream = _Stream(unpacked)
        while stream.magic() in CPIO:
            yield from _archive(stream)


def _archive(stream: _Stream) -> Iterator[str]:
    for _ in range(MAX_FILES):
        header = stream.read(HEADER)
        if header[:6] not in CPIO:
            raise UnreadableError("no cpio archive where one should go on")
        try:
            size, length = int(header[54:62], 16), int(header[94:102], 16)
        except ValueError:
            raise UnreadableError("a damaged cpio header") from None
        if not 0 < length <= MAX_NAME:
            raise UnreadableError("a cpio name of impossible length")
        name = stream.read(length).rstrip(b"\0").decode("utf-8", "replace")
        stream.skip(-(HEADER + length) % 4)
        if name == END:
            return
        yield name
        stream.skip(size + -size % 4)
    raise UnreadableError(f"more than {MAX_FILES} files")


@contextlib.contextmanager
def _unpacked(file: BinaryIO, magic: bytes) -> Iterator[_Readable]:
    """Unpack the rest of a file."""
    if magic.startswith(b"\x1f\x8b"):
        yield gzip.GzipFile(fileobj=file)
    elif magic.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        yield lzma.LZMAFile(file)  # noqa: SIM115 - the file is closed by its opener
    elif magic.startswith(b"BZh"):
        yield bz2.BZ2File(file)
    elif magic[:4] in PROGRAMS:
        with _by_program(file, PROGRAMS[magic[:4]]) as unpacked:
            yield unpacked
    else:
        raise UnreadableError(f"an unknown format (it begins with {magic.hex()})")


@contextlib.contextmanager
def _by_program(file: BinaryIO, argv: tuple[str, ...]) -> Iterator[_Readable]:
    program = shutil.which(argv[0], path="/usr/bin:/bin:/usr/sbin:/sbin")
    if program is None:
        raise UnreadableError(f"{argv[0]} is needed to unpack it, and is not installed")
    # The program goes on where this process has sought to, below Python's buffer.
    os.lseek(file.fileno(), file.tell(), os.SEEK_SET)
    with subprocess.Popen(
        [program, *argv[1:]], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        try:
            yield process.stdout
        finally:
            process.kill()

"""Where ``kallsyms`` lies in the image of a kernel before 6.0, whose VMCOREINFO does not tell.

scripts/kallsyms.c writes the tables one behind the other, each aligned to 8 bytes: offsets,
relative_base, num_syms, names, markers, token_table, token_index. The last is told by its shape,
and each of the others is then the one place that agrees with those behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

import numpy as np

from oopsight.errors import SymbolError
from oopsight.symbols.lookup import KERNEL_IMAGE
from oopsight.symbols.pack.kallsyms import Array, NoKallsymsError, Places, Read, Symbol

_LARGEST_IMAGE = 256 << 20
_MOST_CANDIDATES = 1000
"""A kernel has one token index, and some tables of numbers that look like it."""
_PIECE = 1 << 20
_PAGE = 4096
_ALIGN = 8
_TOKENS = 256
_GROUP = 256
"""Each marker is the offset of the name of every 256th symbol."""
_LONGEST_TOKEN = 512
_LONGEST_NAME = 128
"""Bytes of a compressed name; it had one byte of length before Linux 6.1."""
_FEWEST_MARKERS = 8
"""Of kernels with 2,000 symbols."""
_MOST_MARKERS = 1 << 14
# Markers were as wide as a pointer before Linux 4.20.
_MARKER_WIDTHS = (4, 8)
# What a kernel's text begins with, and what lies behind its read-only data.
_FIRST = "_stext"
_BEHIND = ("swapper_pg_dir", "init_uts_ns")


def search(read: Read, symbol: Symbol) -> Places:
    """Find the tables.

    :param symbol: run-time address of a symbol named in VMCOREINFO
    :return: run-time addresses of the tables by name, without ``kallsyms_``
    :raises NoKallsymsError: if they are not found
    """
    start, stop = _extent(symbol)
    image = _image(read, start, stop)
    for index_at in islice(_token_indexes(image), _MOST_CANDIDATES):
        for tokens_at in _token_tables(image, index_at):
            for markers_at, markers in _markers(image, tokens_at):
                found = _names(image, markers_at, markers)
                if found is None:
                    continue
                names_at, count = found
                base_at = names_at - 2 * _ALIGN
                places = {
                    "num_syms": names_at - _ALIGN,
                    "names": names_at,
                    "token_table": tokens_at,
                    "token_index": index_at,
                    "relative_base": base_at,
                    "offsets": base_at - _aligned(4 * count),
                }
                return {name: start + at for name, at in places.items()}
    raise NoKallsymsError(
        "VMCOREINFO does not tell where kallsyms is, as kernels do since 6.0 (with "
        "CONFIG_KALLSYMS), and it is not found in the kernel's image"
    )


def _extent(symbol: Symbol) -> tuple[int, int]:
    """From the kernel's text to what lies behind its read-only data."""
    start = symbol(_FIRST)
    behind = [address for address in map(symbol, _BEHIND) if address is not None]
    if start is None or not behind or not 0 < max(behind) - start <= _LARGEST_IMAGE:
        raise NoKallsymsError(
            "VMCOREINFO tells neither where kallsyms is nor where the kernel's image is"
        )
    return start & -_PAGE, max(behind) & -_PAGE


def _image(read: Read, start: int, stop: int) -> bytes:
    """All of it, zeros in place of pages that are missing."""
    image = bytearray(stop - start)
    for at in range(start, stop, _PIECE):
        size = min(_PIECE, stop - at)
        for part, data in _readable(read, at, size):
            image[part - start : part - start + len(data)] = data
    return bytes(image)


def _readable(read: Read, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The whole piece, or the pages of it that can be read."""
    try:
        yield start, read(start, size)
    except SymbolError:
        pages = range(start, start + size, _PAGE)
    else:
        return
    for page in pages:
        try:
            yield page, read(page, _PAGE)
        except SymbolError:
            continue


def _token_indexes(image: bytes) -> Iterator[int]:
    """Where 256 numbers of 16 bits begin that grow from 0."""
    words = np.frombuffer(image, "<u2")
    breaks = np.flatnonzero(words[1:] <= words[:-1])
    starts = breaks[:-1][np.diff(breaks) >= _TOKENS] + 1
    for at in (2 * starts[words[starts] == 0]).tolist():
        if at % _ALIGN == 0:
            yield at


def _token_tables(image: bytes, index_at: int) -> Iterator[int]:
    """Where 256 strings begin that end before the index and lie as it says."""
    index = np.frombuffer(image, "<u2", _TOKENS, index_at).astype(np.int64)
    last = int(index[-1])
    highest = index_at - _aligned(last + 1)
    for at in range(highest, max(highest - _LONGEST_TOKEN, -1), -_ALIGN):
        table = np.frombuffer(image, np.uint8, index_at - at, at)
        ends = np.flatnonzero(table == 0)
        if len(ends) >= _TOKENS and (ends[: _TOKENS - 1] + 1 == index[1:]).all():
            rest = table[ends[_TOKENS - 1] :]
            if len(rest) <= _ALIGN and not rest.any():
                yield at


def _markers(image: bytes, tokens_at: int) -> Iterator[tuple[int, Array]]:
    """Where numbers begin that grow from 0 up to the token table, and the numbers."""
    for width in _MARKER_WIDTHS:
        kind = np.dtype(f"<u{width}")
        first = max(tokens_at % width, tokens_at - _MOST_MARKERS * width)
        words = np.frombuffer(image[first:tokens_at], kind)
        if len(words) > 1 and words[-1] == 0:
            words = words[:-1]  # what aligns the token table
        falls = np.flatnonzero(words[1:] <= words[:-1])
        begin = int(falls[-1]) + 1 if len(falls) else 0
        markers = words[begin:]
        at = first + begin * width
        if len(markers) >= _FEWEST_MARKERS and markers[0] == 0 and at % _ALIGN == 0:
            yield at, markers.astype(np.int64)


def _names(image: bytes, markers_at: int, markers: Array) -> tuple[int, int] | None:
    """Where the names begin which the markers point into, and how many there are."""
    last = int(markers[-1])
    fewest = (len(markers) - 1) * _GROUP
    highest = markers_at - last
    lowest = max(highest - _GROUP * _LONGEST_NAME, 2 * _ALIGN)
    for at in range(highest & -_ALIGN, lowest, -_ALIGN):
        count, padding = struct.unpack_from("<II", image, at - _ALIGN)
        if padding or not fewest < count <= fewest + _GROUP:
            continue
        base = int.from_bytes(image[at - 2 * _ALIGN : at - _ALIGN], "little")
        first_end = _after(image, at, _GROUP)
        end = _after(image, at + last, count - fewest)
        if first_end == at + int(markers[1]) and _aligned(end) == markers_at:
            return (at, count) if base >= KERNEL_IMAGE and at > 4 * count + 3 * _ALIGN else None
    return None


def _after(image: bytes, at: int, names: int) -> int:
    """The offset behind so many names."""
    for _ in range(names):
        if at >= len(image):
            break
        at += 1 + image[at]
    return at


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN

"""UEFI programs, which kernels are too: whether one is signed, and a unified image's command line.

Format: Microsoft's PE/COFF; the sections of unified kernel images are in systemd's uki(7)/the UAPI
group's "Unified Kernel Image" specification.
"""

from __future__ import annotations

import struct

CERTIFICATES = 4  # number of the data directory
MAX_SECTIONS = 96


def is_signed(image: bytes) -> bool | None:
    """Whether a signature is attached; ``None`` if the file is no 64-bit UEFI program."""
    optional = _optional_header(image)
    if optional is None:
        return None
    place = optional + 112 + CERTIFICATES * 8
    if len(image) < place + 8:
        return None
    offset, size = struct.unpack_from("<II", image, place)
    return bool(offset and size)


def section(image: bytes, name: str) -> bytes | None:
    """Return a section's content, ``None`` if there is none of this name."""
    optional = _optional_header(image)
    if optional is None:
        return None
    count, optional_size = struct.unpack_from("<H12xH", image, optional - 18)
    for number in range(min(count, MAX_SECTIONS)):
        place = optional + optional_size + number * 40
        if len(image) < place + 40:
            return None
        size, _, length, offset = struct.unpack_from("<IIII", image, place + 8)
        if image[place : place + 8].rstrip(b"\0") == name.encode():
            return image[offset : offset + min(size, length)]
    return None


def _optional_header(image: bytes) -> int | None:
    if image[:2] != b"MZ" or len(image) < 64:
        return None
    (start,) = struct.unpack_from("<I", image, 0x3C)
    if image[start : start + 4] != b"PE\0\0" or image[start + 24 : start + 26] != b"\x0b\x02":
        return None
    return int(start) + 24

"""Memory of which pages may be missing from the dump."""

from __future__ import annotations

from typing import Any

_PAGE = 4096


def read_with_holes(memory: Any, start: int, size: int) -> bytes:
    """A range of memory, in bytes; zeros for each page of it that cannot be read.

    :param memory: what reads by address and size: a program or a session
    """
    from drgn import FaultError

    try:
        return bytes(memory.read(start, size))
    except FaultError:
        found = bytearray()
    while len(found) < size:
        at = start + len(found)
        length = min(_PAGE - at % _PAGE, size - len(found))
        try:
            found += memory.read(at, length)
        except FaultError:
            found += bytes(length)
    return bytes(found)

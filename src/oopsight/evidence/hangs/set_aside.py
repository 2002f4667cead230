"""Lists beside a count that have as many entries as it counts.

Who moved to such a list what is counted is done with it, and did not take the count down. Not a
fact by itself: :mod:`oopsight.evidence.hangs.counted_wait` asks it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

_NEAR = 0x100
_MOST_ENTRIES = 64
_KERNEL = 1 << 63


def full_heads(read: Callable[[int, int], bytes | None], counter: int, count: int) -> list[int]:
    """Addresses of the heads of lists near a counter that have so many entries.

    :param read: memory by address and size, ``None`` where it is not in the dump
    """
    if not 0 < count <= _MOST_ENTRIES:
        return []
    found = []
    begin = (counter & ~7) - _NEAR
    for at in range(begin, begin + 2 * _NEAR, 8):
        links = _links(read, at)
        if links is not None and links[0] != at and _length(read, at, links[0]) == count:
            found.append(at)
    return found


def _links(read: Callable[[int, int], bytes | None], at: int) -> tuple[int, int] | None:
    raw = read(at, 16)
    if raw is None:
        return None
    after, before = struct.unpack("<2Q", raw)
    return (after, before) if min(after, before) >= _KERNEL and not (after | before) & 7 else None


def _length(read: Callable[[int, int], bytes | None], head: int, first: int) -> int | None:
    """How many entries follow a head until it is reached again; ``None`` where it is no list."""
    before, at = head, first
    for number in range(_MOST_ENTRIES + 1):
        links = _links(read, at)
        if links is None or links[1] != before:
            return None
        if at == head:
            return number
        before, at = at, links[0]
    return None

"""A sample of a slab cache's objects, from a few places of the memory map."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import Any

_CHUNKS = 64
_PAGES_A_CHUNK = 4096
_SLABS_A_CHUNK = 6
_MOST_SLABS = 192
_MOST_OBJECTS = 4000
_LARGEST_OBJECT = 8192
_KERNEL = 1 << 63


def sample(prog: Any, cache: Any) -> Iterator[tuple[int, ...]]:
    """Words of objects that can be pointers, an object at a time; free objects are among them.

    :param cache: ``struct kmem_cache *``
    """
    from drgn import FaultError

    size = cache.size.value_()
    if not 8 <= size <= _LARGEST_OBJECT:
        return
    count = 0
    for start, objects in slabs(prog, cache):
        if count >= _MOST_OBJECTS:
            return
        try:
            data = prog.read(start, size * objects)
        except FaultError:
            continue
        for number in range(objects):
            part = data[number * size : (number + 1) * size]
            words = struct.unpack(f"<{size // 8}Q", part[: size // 8 * 8])
            count += 1
            yield tuple(w for w in words if w >= _KERNEL)


def slabs(prog: Any, cache: Any) -> Iterator[tuple[int, int]]:
    """Start of some slabs of the cache, and how many objects each has.

    :param cache: ``struct kmem_cache *``
    """
    from drgn import FaultError, Object
    from drgn.helpers.linux.mm import page_to_virt
    from drgn.helpers.linux.slab import slab_cache_objects_per_slab

    objects = int(slab_cache_objects_per_slab(cache))
    for page in itertools.islice(_pages(prog, cache), _MOST_SLABS):
        try:
            yield page_to_virt(Object(prog, "struct page *", page)).value_(), objects
        except FaultError:
            continue


def _pages(prog: Any, cache: Any) -> Iterator[int]:
    """Addresses of the ``struct page`` of slabs of the cache, spread over memory."""
    from drgn import FaultError, offsetof, sizeof
    from drgn.helpers.linux.mm import for_each_valid_page_range

    try:
        # Since Linux 5.17 (commit d122019bf061) a slab's page is a struct slab.
        at = offsetof(prog.type("struct slab"), "slab_cache")
    except LookupError:
        at = offsetof(prog.type("struct page"), "slab_cache")
    size = sizeof(prog.type("struct page"))
    wanted = cache.value_().to_bytes(8, "little")
    try:
        ranges = [(start, end, memmap) for start, end, memmap in for_each_valid_page_range(prog)]
    except (FaultError, LookupError):
        return
    total = sum(end - start for start, end, _ in ranges)
    step = max(total // _CHUNKS, _PAGES_A_CHUNK)
    for start, end, memmap in ranges:
        base = memmap.value_()
        for first in range(start, end, step):
            pages = min(_PAGES_A_CHUNK, end - first)
            address = base + first * size
            try:
                data = prog.read(address, pages * size)
            except FaultError:
                continue
            found = [
                address + page * size
                for page in range(pages)
                if data[page * size + at : page * size + at + 8] == wanted
            ]
            yield from found[:: max(len(found) // _SLABS_A_CHUNK, 1)][:_SLABS_A_CHUNK]

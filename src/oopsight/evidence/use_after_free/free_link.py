"""A bad pointer that is the link which the allocator writes into free objects.

With CONFIG_SLAB_FREELIST_HARDENED the address of the next free object is stored mixed with a secret
of the cache and with the place that it is stored at. What comes out as an object of the same cache,
or as the end of the list, was read while the object was free, whoever has it now. Where what led to
the object is lost, a free object that still holds this very link is looked for.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from oopsight.errors import SymbolError
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.memory.slab_caches import MOST_CACHES
from oopsight.kernel.machine_code import MASK
from oopsight.kernel.slab_objects import free_objects, slab_caches
from oopsight.session import read_word

if TYPE_CHECKING:
    from oopsight.evidence.memory.owner import SlabObject
    from oopsight.session import Session

WORD = 8
_LINK = "the allocator's link"
_MOST_FREE = 1 << 14
_CANONICAL = (0, 0x1FFFF)
"""The upper 17 bits of a process's addresses, and of the kernel's."""


def read_while_free(session: Session, flow: DataFlow | None) -> tuple[str, SlabObject] | None:
    """The object in use from which the link of a free one was read."""
    if flow is None or not flow.of_a_pointer or flow.first.end is None:
        return None
    held, value = flow.first.held_in, flow.first.end.value
    slab = held.slab if held is not None else None
    if held is None or slab is None or slab.freed or value is None:
        return None
    # What is still there may be of memory that its owner has got and not yet written to.
    if not flow.first.changed:
        return None
    cache = _cache(session, int(slab.cache_address))
    if cache is None or held.address - slab.address != cache[0]:
        return None
    place = int.from_bytes(int(held.address).to_bytes(WORD, "little"), "big")
    # Since Linux 5.7 (commit 1ad53d9fa3f6) the place is mixed in with its bytes swapped.
    for mixed in (place, int(held.address)):
        link = int(value) ^ cache[1] ^ mixed
        other = owner_of(session, None, link).slab if link else None
        same = other is not None and other.cache_address == slab.cache_address
        if link == 0 or (same and other is not None and other.address == link):
            what = f"a link to the free object {link:#x}" if link else "the end of its free list"
            return f"what was read from it is the allocator's own: {what}", slab
    return None


def still_linked(session: Session, flow: DataFlow | None) -> tuple[str, SlabObject] | None:
    """The free object that holds the bad value as its link, where its way is lost."""
    from drgn import FaultError

    if flow is None or not flow.of_a_pointer or flow.first.ended != "lost":
        return None
    value = flow.first.end.value if flow.first.end is not None else flow.first.value
    if value is None or int(value) >> 47 in _CANONICAL:
        return None
    try:
        for cache in slab_caches(session.prog, MOST_CACHES):
            offset, secret = cache.offset.value_(), cache.random.value_()
            # A walk that takes it for a list's link goes on from where that entry would begin.
            for link in (int(value), (int(value) + offset) & MASK):
                place = _place(session, cache, link, offset) if _mixed(link ^ secret) else None
                one = owner_of(session, None, place).slab if place is not None else None
                if one is not None and one.freed:
                    return f"what was followed is {_LINK} in it to the next free one", one
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None
    return None


def _mixed(number: int) -> bool:
    """Whether a number can be a link mixed with its place: a slab lies within 64 KiB.

    >>> place, link = 0xFFFF8D8BC28E2C60, 0xFFFF8D8BC28E2480
    >>> _mixed(link ^ int.from_bytes(place.to_bytes(8, "little"), "big"))
    True
    >>> _mixed(0x784F673147F41B6E)
    False
    """
    parts = number.to_bytes(WORD, "little")
    last = parts[:2] == b"\xff\xff" or number >> 47 == _CANONICAL[1]
    return last or (parts[2] == parts[5] and parts[3] == parts[4]) or not number >> 16


def _place(session: Session, cache: Any, value: int, offset: int) -> int | None:
    """The free object of a cache that holds the value as its link."""
    for one in itertools.islice(free_objects(cache), _MOST_FREE):
        if read_word(session, one + offset) == value:
            return one
    return None


def _cache(session: Session, address: int) -> tuple[int, int] | None:
    """Where in a cache's free objects their link is, and the cache's secret."""
    from drgn import FaultError, Object

    try:
        cache = Object(session.prog, "struct kmem_cache", address=address)
        return cache.offset.value_(), cache.random.value_()
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None


def free_link_at(session: Session, one: SlabObject) -> int | None:
    """Where in an object, in bytes, the allocator keeps its link while that is free."""
    from drgn import FaultError, Object

    try:
        cache = Object(session.prog, "struct kmem_cache", address=int(one.cache_address))
        return int(cache.offset.value_())
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None

"""A bad pointer that is the link which the allocator writes into free objects.

With CONFIG_SLAB_FREELIST_HARDENED the address of the next free object is stored mixed with a secret
of the cache and with the place that it is stored at. What comes out as an object of the same cache,
or as the end of the list, was read while the object was free, whoever has it now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.errors import SymbolError
from oopsight.evidence.data_flow import DataFlow
from oopsight.evidence.owner import owner_of

if TYPE_CHECKING:
    from oopsight.evidence.owner import SlabObject
    from oopsight.session import Session

_BYTES = 8


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
    place = int.from_bytes(int(held.address).to_bytes(_BYTES, "little"), "big")
    # Since Linux 5.7 (commit 1ad53d9fa3f6) the place is mixed in with its bytes swapped.
    for mixed in (place, int(held.address)):
        link = int(value) ^ cache[1] ^ mixed
        other = owner_of(session, None, link).slab if link else None
        same = other is not None and other.cache_address == slab.cache_address
        if link == 0 or (same and other is not None and other.address == link):
            what = f"a link to the free object {link:#x}" if link else "the end of its free list"
            return f"what was read from it is the allocator's own: {what}", slab
    return None


def _cache(session: Session, address: int) -> tuple[int, int] | None:
    """Where in a cache's free objects their link is, and the cache's secret."""
    from drgn import FaultError, Object

    try:
        cache = Object(session.prog, "struct kmem_cache", address=address)
        return cache.offset.value_(), cache.random.value_()
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None

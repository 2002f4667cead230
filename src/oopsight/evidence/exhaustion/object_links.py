"""Whether the objects that fill the memory are still on lists, by a sample of them.

A list is known by its links: the next entry points back to this one. What ``list_del()`` leaves in
an entry tells that it was taken off.
"""

from __future__ import annotations

import struct
from typing import Any

from oopsight.kernel.slab_objects import slab_object_info
from oopsight.kernel.slab_sample import slabs

LINKED, UNLINKED = "linked", "unlinked"
_MOST_OBJECTS = 300
_MOST_BYTES = 512
_ENOUGH = 8
_MOST = 0.5
"""Share of the sampled objects."""
_POISON = 0xDEAD000000000122  # LIST_POISON2 on x86-64, of list_del() and hlist_del()
_KERNEL = 1 << 63
_MASK = (1 << 64) - 1


def links(prog: Any, cache: Any, *, few: bool = False) -> str | None:
    """Whether most objects of a cache are linked, or were taken off; ``None``: that is not known.

    :param cache: ``struct kmem_cache *``
    :param few: there are few, and more that are free
    """
    from drgn import FaultError

    size = int(cache.size.value_())
    count = linked = unlinked = 0
    for start, objects in slabs(prog, cache):
        for number in range(objects):
            at = start + number * size
            if few and not _in_use(prog, at):
                continue
            try:
                data = prog.read(at, min(size, _MOST_BYTES) & ~7)
            except FaultError:
                continue
            words = struct.unpack(f"<{len(data) // 8}Q", data)
            count += 1
            if _POISON in words:
                unlinked += 1
            elif _linked(prog, at, words):
                linked += 1
        if count >= _MOST_OBJECTS:
            break
    if count < (1 if few else _ENOUGH):
        return None
    if linked > _MOST * count:
        return LINKED
    return UNLINKED if unlinked > _MOST * count else None


def _in_use(prog: Any, at: int) -> bool:
    from drgn import FaultError

    try:
        known = slab_object_info(prog, at)
    except FaultError:
        return False
    return known is not None and bool(known.allocated)


def _linked(prog: Any, at: int, words: tuple[int, ...]) -> bool:
    """Whether one word is a link of a list whose other side points back."""
    for number, word in enumerate(words):
        place = at + 8 * number
        # Within itself: an empty list, or an entry that was taken off by list_del_init().
        if word < _KERNEL or word & 7 or at <= word < at + 8 * len(words):
            continue
        # list_head.next leads to one whose prev is second; hlist_node.pprev is second itself.
        if _word(prog, word + 8) == place:
            return True
        if number and _word(prog, word) == place - 8:
            return True
    return False


def _word(prog: Any, address: int) -> int | None:
    from drgn import FaultError

    try:
        return int(prog.read_u64(address & _MASK))
    except (FaultError, OverflowError):
        return None

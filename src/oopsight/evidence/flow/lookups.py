"""What a lookup by number can have returned: the entries of an IDR or XArray, as they are now.

The lookup's own code is a maze, but what it can have found is in the tree that it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.kernel.addresses import in_kernel_half
from oopsight.plumbing import base_name

if TYPE_CHECKING:
    from oopsight.evidence.flow import Reader

_LOOKUPS = (
    *("idr_find", "idr_get_next", "idr_get_next_ul", "xa_load", "xa_find", "xa_find_after"),
    *("radix_tree_lookup",),
)
"""Functions that return an entry of the tree that they are given first."""
MOST_ENTRIES = 4096
# include/linux/xarray.h: of a tree and of a node.
_HEAD = 8
_SLOTS, _SLOT_COUNT, _ARRAY = 40, 64, 16
_WORD = 8
_INTERNAL, _LOWEST_NODE = 2, 4096


def is_lookup(function: str) -> bool:
    """Whether a function of this name returns an entry of such a tree."""
    return base_name(function) in _LOOKUPS


def entries(reader: Reader, tree: int) -> list[int] | None:
    """The pointers in a tree.

    :param tree: address of the ``struct xarray`` or ``struct idr``
    :return: ``None`` where it is not read as a whole
    """
    head = _word(reader, tree + _HEAD)
    waiting, seen = [head], set[int]()
    found: list[int] = []
    while waiting:
        entry = waiting.pop()
        if entry is None or max(len(found), len(seen)) > MOST_ENTRIES:
            return None
        if entry & 3 != _INTERNAL:
            found += [entry] if in_kernel_half(entry) and not entry & 1 else []
            continue
        node = entry - _INTERNAL
        if node < _LOWEST_NODE or node in seen:
            continue
        seen.add(node)
        if _word(reader, node + _ARRAY) != tree:
            return None
        data = reader.read(node + _SLOTS, _SLOT_COUNT * _WORD) or b""
        slots = [data[at : at + _WORD] for at in range(0, len(data), _WORD)]
        waiting += [int.from_bytes(slot, "little") for slot in slots] or [None]
    return found


def _word(reader: Reader, address: int) -> int | None:
    data = reader.read(address, _WORD)
    return None if data is None else int.from_bytes(data, "little")

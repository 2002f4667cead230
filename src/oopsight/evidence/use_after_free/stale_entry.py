"""A list entry in memory that was freed while it was on the list, and given to somebody else since.

The entry before it, in an object of the same kind, leads to it; what lies there now is no entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.session import read_word

if TYPE_CHECKING:
    from oopsight.evidence.memory.owner import SlabObject
    from oopsight.session import Session

_NONSENSE = ("non-canonical", "unknown", "vmalloc-hole", "poison", "user", "null")


def stale_entry(
    session: Session, flow: DataFlow | None
) -> tuple[str, SlabObject, SlabObject] | None:
    """The object that the list still leads to, and the one that holds the entry before it.

    Both have their entry at the same offset, and the second does not lead back to the first, to
    which its own neighbour does: a pointer between two objects of a size is no list.
    """
    if flow is None or len(flow.ways) < 2 or flow.subject != "operand" or flow.bad is None:
        return None
    read, before = flow.ways[0].held_in, flow.ways[1].held_in
    if read is None or before is None or read.slab is None or before.slab is None:
        return None
    one, other = read.slab, before.slab
    same = one.cache_address == other.cache_address and read.offset == before.offset
    if not same or one.freed or other.freed or one.address == other.address:
        return None
    if flow.bad.kind not in _NONSENSE or read_word(session, before.address) != read.address:
        return None
    back = read_word(session, read.address + 8)
    if back is None or back == before.address or not _on_a_list(session, before.address):
        return None
    return (
        f"the list entry at {before.address}, in an object of the same cache, leads to it, and it "
        "does not lead back",
        one,
        other,
    )


def _on_a_list(session: Session, entry: int) -> bool:
    """Whether what a list's entry has for the one before it leads to it."""
    previous = read_word(session, entry + 8)
    return previous is not None and read_word(session, previous) == entry

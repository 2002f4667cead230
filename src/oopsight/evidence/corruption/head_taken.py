"""A function that takes the head of a list for one of its entries.

``list_first_entry()`` of a list that is empty, or the loop's variable behind
``list_for_each_entry()`` that has found nothing: both lead to what the head is part of, and what is
read there is nonsense.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.memory.owner import Owner, owner_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session, read_word

_LINK = 8
_MOST_WAYS = 3
_MOST_ENTRIES = 64
_LEAST_ALIKE = 2


@dataclass(frozen=True)
class HeadTaken:
    """The head, and who took it."""

    head: Address
    owner: Owner
    memory: BytesPointer
    """The link from which the head's address was read."""
    empty: bool
    """Whether the list is; else it is the last entry that leads to the head."""
    module: str
    function: str


def collect(session: Session, flow: DataFlow, modules: Modules) -> HeadTaken | Missing:
    """Look whether what the bad value was read through is the address of a list's head."""
    foreign = {module.name for module in modules.loaded if module.taints}
    for way in flow.ways[1:_MOST_WAYS]:
        if way.module not in foreign or way.ended != "loaded":
            continue
        found = _taken(session, modules, way)
        if found is not None:
            return found
    return Missing(Why.NOT_APPLICABLE, "no module is known to take a list's head for an entry")


def _taken(session: Session, modules: Modules, way: Way) -> HeadTaken | None:
    end = way.end
    if end is None or end.value is None or end.memory is None or way.module is None:
        return None
    head, link = int(end.value), int(end.memory.address)
    owner = owner_of(session, modules, head)
    after, before = read_word(session, head), read_word(session, head + _LINK)
    if not owner.is_memory or after is None or before is None:
        return None
    empty = after == before == head and link in (head, head + _LINK)
    # An entry is in no variable: where the last one leads there, that is the head. In an object it
    # is one if all the others are in objects of another kind.
    last = link in (before, after + _LINK) and link != head
    if last and owner.kind != "module":
        last = _is_odd(session, modules, owner)
    if not empty and not last:
        return None
    return HeadTaken(Address(head), owner, end.memory, empty, way.module, way.function)


def _is_odd(session: Session, modules: Modules, head: Owner) -> bool:
    """Whether all others of a list are at one place of objects of one kind, and this is not."""
    others: set[tuple[int, int | None]] = set()
    at, count = read_word(session, head.address), 0
    while at is not None and at != head.address:
        one = owner_of(session, modules, at)
        if one.slab is None or count == _MOST_ENTRIES:
            return False
        others.add((int(one.slab.cache_address), one.offset))
        at, count = read_word(session, at), count + 1
    place = (int(head.slab.cache_address), head.offset) if head.slab is not None else None
    return at is not None and count >= _LEAST_ALIKE and len(others) == 1 and place not in others

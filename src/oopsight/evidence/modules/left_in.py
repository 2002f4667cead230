"""What a freed object still holds, and which functions cannot have freed it as it is.

The allocator leaves an object's bytes alone but for its own link. A function that stores something
in what it frees, the poison of ``list_del()`` or a state, has left that there.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free.free_link import WORD, free_link_at
from oopsight.session import Session


@dataclass(frozen=True)
class LeftIn:
    """Whether a freed object holds what a function stores in objects before it frees them."""

    function: str
    holds: tuple[BytesPointer, ...]
    """Numbers other than zero that are there."""
    lacks: BytesPointer | None
    """What is there in place of such a number; ``None`` where the function can have freed it."""


def left_in(session: Session, users: ObjectUsers, uses: dict[str, FieldUse]) -> tuple[LeftIn, ...]:
    """What the freed object says to each function that frees."""
    from drgn import FaultError

    one = users.object
    if not any(any(use.marks) for use in uses.values()):
        return ()
    if users.question != "freed" or one.state != "free" or one.poisoned:
        return ()
    link = free_link_at(session, one)
    try:
        data = session.read(one.address, one.size)
    except FaultError:
        return ()
    # init_on_free leaves nothing.
    if link is None or not any(data[:link] + data[link + WORD :]):
        return ()
    found = (_left_by(name, one, data, link, use) for name, use in uses.items())
    return tuple(one for one in found if one is not None)


def _left_by(name: str, one: SlabObject, data: bytes, link: int, use: FieldUse) -> LeftIn | None:
    """The same of one function; ``None`` where it stores nothing before it frees."""
    holds: dict[int, BytesPointer] = {}
    lacks: list[BytesPointer | None] = []
    for marks in use.marks:
        lacks.append(None)
        for mark in marks:
            end = mark.offset + mark.size
            if mark.offset < link + WORD and link < end:
                continue
            is_there = data[mark.offset : end]
            memory = BytesPointer(Address(one.address + mark.offset), is_there.hex())
            if not mark.is_in(is_there):
                lacks[-1] = memory if is_there else one.head
                break
            if mark.value:
                holds[mark.offset] = memory
    if not any(use.marks):
        return None
    return LeftIn(name, tuple(holds.values()), lacks[0] if all(lacks) else None)

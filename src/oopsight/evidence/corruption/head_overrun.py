"""Whether only the beginning of an object was written over, and the rest is as of others like it.

Memory that was freed and given to somebody else holds what that one put there, all through. Where
what lies behind the damage is still that of the object's kind, word for word of the same sort, the
object is alive, and what was written there came from the one before it. So it is where the object
is on its list still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Address
from oopsight.evidence.corruption.overrun import Overrun
from oopsight.evidence.memory.owner import neighbour
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.addresses import in_kernel_half
from oopsight.session import read_word

if TYPE_CHECKING:
    from oopsight.evidence.memory.owner import SlabObject
    from oopsight.evidence.modules.modules import Modules
    from oopsight.session import Session

_WORD = 8
_MOST_DAMAGED = 128
"""Bytes at the beginning of an object."""
_LEAST_ALIKE = 4
"""Words behind the damage; some of them have to be other than zero."""
_SHOWN = 16
_OTHERS = (1, 2, -2, 3, -3)
"""Places in the slab; the one before it may be of another kind."""


def head_overrun(
    session: Session, modules: Modules | None, one: SlabObject, like: SlabObject
) -> Overrun | None:
    """What ran into an object from the one before it.

    :param like: an object of the same kind that is whole
    """
    from drgn import FaultError

    before = neighbour(session, modules, one, -1)
    if before is None or before.state != "allocated" or one.state != "allocated":
        return None
    try:
        mine = session.read(one.address, one.size)
        its = session.read(like.address, like.size)
        border = session.read(one.address - _SHOWN, 2 * _SHOWN)
    except FaultError:
        return None
    end = _alike_from(mine, its) or _linked_from(session, one, like)
    if end is None or not 0 < end <= min(_MOST_DAMAGED, one.size // 2) or not any(border[:_SHOWN]):
        return None
    return Overrun(
        before=before,
        start=Address(one.address - _SHOWN),
        end=Address(one.address + end),
        kind="bytes without a pattern",
        text=mine[:_SHOWN].hex(" ", 4),
        memory=BytesPointer(Address(one.address - _SHOWN), border.hex()),
        sure=False,
    )


def among_others(
    session: Session,
    modules: Modules | None,
    one: SlabObject,
    field: int,
    led: SlabObject | None = None,
) -> Overrun | None:
    """The same, held against others of its kind, which have a pointer in that field.

    :param field: address of the pointer in the object that was found wrong
    :param led: the one that led to it, which may be of its kind; else those of its slab are
    """
    beside = (neighbour(session, modules, one, steps) for steps in _OTHERS)
    for like in (led, *beside):
        if like is None or like.state != "allocated" or like.cache_address != one.cache_address:
            continue
        there = read_word(session, field - int(one.address) + int(like.address))
        found = head_overrun(session, modules, one, like)
        starts = [read_word(session, int(each.address)) for each in (one, like)]
        if there is None or not in_kernel_half(there) or None in starts or found is None:
            continue
        first, its = (_sort((start or 0).to_bytes(_WORD, "little")) for start in starts)
        if first != its and field < found.end:
            return found
    return None


def _alike_from(mine: bytes, its: bytes) -> int | None:
    """From where on two objects hold words of the same sorts to their ends, in bytes."""
    sorts = [
        (_sort(mine[at : at + _WORD]), _sort(its[at : at + _WORD]))
        for at in range(0, min(len(mine), len(its)) - _WORD + 1, _WORD)
    ]
    first = len(sorts)
    while first and sorts[first - 1][0] == sorts[first - 1][1]:
        first -= 1
    rest = sorts[first:]
    told = len(rest) >= _LEAST_ALIKE and any(sort != "zero" for sort, _ in rest)
    return first * _WORD if told else None


def _linked_from(session: Session, one: SlabObject, like: SlabObject) -> int | None:
    """Where two objects have an entry at the same place that is on its list still, in bytes."""
    for at in range(_WORD, min(one.size, like.size) - _WORD, _WORD):
        if all(_is_linked(session, int(each.address) + at) for each in (one, like)):
            return at
    return None


def _is_linked(session: Session, entry: int) -> bool:
    """Whether its neighbours on a list, or on a hash chain, lead back to an entry."""
    after, before = read_word(session, entry), read_word(session, entry + _WORD)
    if after is None or not before or entry in (after, before):
        return False
    if read_word(session, before) != entry:
        return False
    return not after or read_word(session, after + _WORD) == entry


def _sort(word: bytes) -> str:
    """What a word holds, by its looks."""
    number = int.from_bytes(word, "little")
    if number == 0:
        return "zero"
    if in_kernel_half(number):
        return "pointer"
    letters = sum(0x20 <= byte < 0x7F for byte in word)
    if letters >= _WORD // 2 and letters == len(word.rstrip(b"\0")):
        return "text"
    return "small" if number < 1 << 32 else "number"

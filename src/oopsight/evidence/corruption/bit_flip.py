"""Whether the bad value is one bit away from what should have stood there.

One bit alone proves little: of the 64 neighbours of a random number some may be addresses. Only
what is known from elsewhere counts: that the memory still holds the other value, that other objects
of the same kind do, or point to objects of that very cache, that a list entry points back, or that
no other bit would give any memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.owner import Owner, SlabObject, neighbour, owner_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.addresses import in_kernel_half
from oopsight.kernel.slab_sample import slabs
from oopsight.session import Session, read_word

_SIBLINGS = (-4, -3, -2, -1, 1, 2, 3, 4)
_LEAST_SIBLINGS = 2
_MOST_FAR = 16
_ENOUGH = 4
_LEAST_TEXT = 3
_SUSPECT = ("non-canonical", "unknown", "vmalloc-hole", "user", "module-area-gap")


@dataclass(frozen=True)
class BitFlip:
    """The value, the bit, and what speaks for it."""

    value: Address
    bit: int
    intended: Owner
    """What the value is with that bit turned."""
    reason: str
    """``memory``, ``siblings``, ``kind``, ``itself``, ``back-pointer`` or ``only``."""
    text: str
    memory: tuple[BytesPointer, ...]
    """What carries the reason."""


def one_bit(first: int, second: int) -> int | None:
    """The bit in which two numbers differ, if it is the only one.

    >>> one_bit(0xFFFF888003400000, 0xFFF7888003400000), one_bit(1, 2)
    (51, None)
    """
    difference = first ^ second
    return difference.bit_length() - 1 if difference and not difference & difference - 1 else None


def _siblings(
    session: Session, modules: Modules | None, one: SlabObject, offset: int, value: int
) -> tuple[int, list[BytesPointer]] | None:
    """What other objects of the slab hold at the same offset, where that is one bit away."""
    held: dict[int, list[BytesPointer]] = {}
    for step in _SIBLINGS:
        other = neighbour(session, modules, one, step)
        if other is None or other.state != "allocated":
            continue
        word = read_word(session, other.address + offset)
        if word is not None and one_bit(word, value) is not None:
            pointer = BytesPointer(
                Address(other.address + offset), word.to_bytes(8, "little").hex()
            )
            held.setdefault(word, []).append(pointer)
    best = max(held.items(), key=lambda item: len(item[1]), default=None)
    return best if best is not None and len(best[1]) >= _LEAST_SIBLINGS else None


def _same_kind(session: Session, modules: Modules | None, one: SlabObject) -> Iterator[int]:
    """Addresses of a few allocated objects of the same cache, those beside it first."""
    from drgn import FaultError, Object

    near = (neighbour(session, modules, one, step) for step in _SIBLINGS)
    yield from (int(other.address) for other in near if other and other.state == "allocated")
    left = _MOST_FAR
    try:
        cache = Object(session.prog, "struct kmem_cache *", one.cache_address)
        for start, objects in slabs(session.prog, cache):
            for at in range(start, start + objects * one.stride, one.stride):
                other = owner_of(session, modules, at).slab
                if other is None or other.state != "allocated" or other.address == one.address:
                    continue
                yield int(other.address)
                left -= 1
                if not left:
                    return
    except (FaultError, LookupError, AttributeError, ValueError, SymbolError):
        return


def _of_the_kind(
    session: Session, modules: Modules | None, one: SlabObject, offset: int, value: int
) -> tuple[int, Owner, list[BytesPointer]] | None:
    """The one bit that leads to an object as other objects of the slab point to at the offset."""
    held: dict[tuple[int, int], list[BytesPointer]] = {}
    for address in _same_kind(session, modules, one):
        word = read_word(session, address + offset)
        owner = owner_of(session, modules, word) if word else None
        if word is None or word == value or owner is None or owner.slab is None:
            continue
        if owner.slab.state == "allocated":
            pointer = BytesPointer(Address(address + offset), word.to_bytes(8, "little").hex())
            kind = int(owner.slab.cache_address), word - int(owner.slab.address)
            held.setdefault(kind, []).append(pointer)
        if sum(map(len, held.values())) >= _ENOUGH:
            break
    # Where they point to objects of several kinds, any would do.
    if len(held) != 1 or len(pointers := next(iter(held.values()))) < _LEAST_SIBLINGS:
        return None
    right: list[tuple[int, Owner]] = []
    for bit in range(64):
        owner = owner_of(session, modules, value ^ 1 << bit)
        slab = owner.slab
        if slab is None or slab.state != "allocated" or owner.offset is None:
            continue
        if (int(slab.cache_address), int(owner.offset)) in held:
            right.append((bit, owner))
    return (*right[0], pointers) if len(right) == 1 else None


def collect(session: Session, flow: DataFlow, modules: Modules | Missing) -> BitFlip | Missing:
    """Look for one bit between the bad value and a right one."""
    known = None if isinstance(modules, Missing) else modules
    way, end = flow.first, flow.first.end
    nothing = Missing(Why.NOT_APPLICABLE, "no single bit leads from the bad value to a right one")
    if end is None or end.how != "loaded" or end.value is None or flow.bad is None:
        return Missing(Why.NOT_APPLICABLE, "the bad value was not read from memory")
    if not flow.of_a_pointer or flow.bad.kind not in _SUSPECT:
        return nothing
    value = int(end.value)
    if end.agrees is False and end.memory is not None and len(end.memory.bytes) == 16:
        now = int.from_bytes(bytes.fromhex(end.memory.bytes), "little")
        bit = one_bit(now, value)
        owner = owner_of(session, known, now)
        if bit is not None and owner.is_memory and owner.mapped:
            text = f"the memory that it was read from holds {owner.address}, one bit away"
            return BitFlip(end.value, bit, owner, "memory", text, (end.memory,))
    held = way.held_in
    slab = held.slab if held is not None else None
    if held is not None and slab is not None and held.offset is not None:
        found = _siblings(session, known, slab, held.offset, value)
        if found is not None and (bit := one_bit(found[0], value)) is not None:
            owner = owner_of(session, known, found[0])
            if owner.is_memory:
                text = f"{len(found[1])} objects beside it hold {owner.address} there"
                return BitFlip(end.value, bit, owner, "siblings", text, tuple(found[1]))
        kind = _of_the_kind(session, known, slab, held.offset, value)
        if kind is not None and kind[1].slab is not None:
            text = f"{len(kind[2])} objects of its kind point to such a one of {kind[1].slab.cache}"
            return BitFlip(end.value, kind[0], kind[1], "kind", text, tuple(kind[2]))
    if slab is not None and end.memory is not None:
        into = [bit for bit in range(64) if slab.address <= value ^ 1 << bit < slab.end]
        if len(into) == 1:
            owner = owner_of(session, known, value ^ 1 << into[0])
            text = "that is within the very object that holds the pointer"
            return BitFlip(end.value, into[0], owner, "itself", text, (end.memory,))
    return _alone(session, known, end.value, held) or nothing


def _alone(
    session: Session, modules: Modules | None, value: Address, held: Owner | None
) -> BitFlip | None:
    """The only bit whose turning gives memory, if that is the very beginning of something."""
    candidates: list[tuple[int, Owner]] = []
    for bit in range(64):
        turned = value ^ 1 << bit
        if not in_kernel_half(turned):
            continue
        owner = owner_of(session, modules, turned)
        if owner.is_memory and owner.mapped:
            candidates.append((bit, owner))
    # A list entry's neighbour points back to it.
    for bit, owner in candidates:
        back = read_word(session, owner.address + 8)
        if held is not None and back == held.address:
            pointer = BytesPointer(
                Address(owner.address + 8), (back or 0).to_bytes(8, "little").hex()
            )
            text = f"the list entry at {owner.address} points back to where the value was read"
            return BitFlip(value, bit, owner, "back-pointer", text, (pointer,))
    if len(candidates) != 1 or (modules is not None and modules.in_area(value)):
        return None
    bit, owner = candidates[0]
    begins = _begins(session, owner)
    if begins is None:
        return None
    text = f"no other bit gives an address of memory, and {owner.address} is {begins[0]}"
    return BitFlip(value, bit, owner, "only", text, (begins[1],))


def _begins(session: Session, owner: Owner) -> tuple[str, BytesPointer] | None:
    """What begins just there: an allocated object, a variable or a text."""
    from drgn import FaultError

    slab = owner.slab
    if slab is not None and slab.state == "allocated" and owner.offset == 0 and slab.head:
        return "the beginning of an object", slab.head
    try:
        around = session.read(owner.address - 1, 16)
    except FaultError:
        return None
    pointer = BytesPointer(Address(owner.address - 1), around.hex())
    if owner.symbol is not None and owner.offset == 0:
        return f"the beginning of {owner.symbol}", pointer
    text = around[1:].split(b"\0")[0]
    if around[0] == 0 and len(text) >= _LEAST_TEXT and all(0x20 <= char < 0x7F for char in text):
        return "the beginning of a text", pointer
    return None

"""Objects that were freed and allocated again for somebody else, while they were still in use.

Two modules have the object for their own, or what fills it from its beginning is nothing of its
first owner's.
"""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence.corruption.overrun import NOT_WRITTEN, overrun_of
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.module_roles import holding_variables
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session
from oopsight.text import printable

_LEAST_FILLING, _WINDOW, _SHOWN = 16, 64, 32
_WORD = 8
_SLAB_POISON = 0x800  # include/linux/slab.h


@dataclass(frozen=True)
class Reused:
    """An object that two modules hold."""

    role: str
    object: SlabObject
    owner: str
    """The one that has it for its own."""


def reused(session: Session, modules: Modules, flow: DataFlow | None) -> Reused | None:
    """An object that two modules hold, of which one found nonsense in it: freed and given away."""
    way = flow.first if flow is not None else None
    if flow is None or way is None or way.held_in is None or way.held_in.slab is None:
        return None
    if not flow.of_a_pointer or way.module is None or flow.bad is None:
        return None
    one = way.held_in.slab
    if one.freed or flow.bad.kind not in ("non-canonical", "unknown", "vmalloc-hole", "poison"):
        return None
    holders = _holders(session, modules, one)
    others = [name for name in holders if name != way.module]
    if not others:
        return None
    if way.module not in holders:
        # Whose pointer it followed is not seen. That the other module has the object for its own
        # shows where what lies in it goes on from that module's object before it.
        ran = overrun_of(session, modules, one, int(way.held_in.address))
        if ran is None or not set(_holders(session, modules, ran.before)) & set(others):
            return None
    role = f"{way.module} reads pointers from it, and {others[0]} has it for its own"
    return Reused(role, one, others[0])


def refilled(session: Session, flow: DataFlow | None) -> tuple[str, SlabObject] | None:
    """An object filled from its very beginning, over a pointer that is read from it.

    With text, or with one byte repeated. Whoever wrote that took the object for its own: what runs
    over begins in the one before.
    """
    from drgn import FaultError

    way = flow.first if flow is not None else None
    if flow is None or way is None or way.held_in is None or way.held_in.slab is None:
        return None
    one = way.held_in.slab
    if one.freed or flow.bad is None or flow.bad.kind not in ("non-canonical", "poison"):
        return None
    offset = int(way.held_in.address) - one.address
    try:
        data = session.read(one.address, min(one.size, max(offset + _WORD, _WINDOW)))
    except FaultError:
        return None
    # What fills it may be short.
    near = max(offset + _WORD, _LEAST_FILLING)
    filling = _filling(data, offset) or _filling(data[:near], offset)
    if filling is None or (data[0] in NOT_WRITTEN and _poisons(session, one)):
        return None
    return f"{way.module or way.function} reads pointers from it, and {filling}", one


def _filling(data: bytes, offset: int) -> str | None:
    """What memory is filled with, from its first word over that at an offset.

    Whoever still had the object may have written to it since: one word in four may be other.
    """
    words = [data[at : at + _WORD] for at in range(0, len(data), _WORD)]
    one_byte = len(set(words[0])) == 1
    fits = [word == words[0] if one_byte else _is_text(word) for word in words]
    if len(data) < _LEAST_FILLING or not any(words[0]) or 4 * sum(fits) < 3 * len(words):
        return None
    if not fits[0] or not fits[offset // _WORD]:
        return None
    if one_byte:
        return f"the byte {data[0]:#04x} fills it"
    return f"a text fills it: {printable(data[:_SHOWN])!r}"


def _is_text(word: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in word)


def _poisons(session: Session, one: SlabObject) -> bool:
    """Whether the allocator fills the objects of its cache with patterns (slub_debug=P)."""
    from drgn import FaultError, Object

    try:
        cache: Any = Object(session.prog, "struct kmem_cache *", one.cache_address)
        return bool(cache.flags.value_() & _SLAB_POISON)
    except (FaultError, LookupError, AttributeError):
        return True


def _holders(session: Session, modules: Modules, one: SlabObject) -> list[str]:
    """Modules whose variables hold the very address of an object."""
    return [
        module.name
        for module, _, _, memory in holding_variables(
            session, modules, one.address, one.address + one.size
        )
        if int.from_bytes(bytes.fromhex(memory.bytes), "little") == one.address
    ]

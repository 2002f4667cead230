"""Objects that were freed and allocated again for somebody else, while they were still in use.

Two modules have the object for their own, or a text fills it that is nothing of its first owner's.
"""

from __future__ import annotations

from oopsight.evidence.corruption.overrun import overrun_of
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.module_roles import holding_variables
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session
from oopsight.text import printable

_LEAST_TEXT, _SHOWN = 16, 32


def reused(
    session: Session, modules: Modules, flow: DataFlow | None
) -> tuple[str, SlabObject] | None:
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
    return f"{way.module} reads pointers from it, and {others[0]} has it for its own", one


def refilled(session: Session, flow: DataFlow | None) -> tuple[str, SlabObject] | None:
    """An object that a text fills from its very beginning, over a pointer that is read from it.

    Whoever wrote that took the object for its own: what runs over begins in the one before.
    """
    from drgn import FaultError

    way = flow.first if flow is not None else None
    if flow is None or way is None or way.held_in is None or way.held_in.slab is None:
        return None
    one = way.held_in.slab
    if one.freed or flow.bad is None or flow.bad.kind != "non-canonical":
        return None
    length = int(way.held_in.address) + 8 - one.address
    try:
        data = session.read(one.address, length)
    except FaultError:
        return None
    if length < _LEAST_TEXT or not all(0x20 <= byte < 0x7F for byte in data):
        return None
    text = printable(data[:_SHOWN])
    return (
        f"{way.module or way.function} reads pointers from it, and a text fills it: {text!r}",
        one,
    )


def _holders(session: Session, modules: Modules, one: SlabObject) -> list[str]:
    """Modules whose variables hold the very address of an object."""
    return [
        module.name
        for module, _, _, memory in holding_variables(
            session, modules, one.address, one.address + one.size
        )
        if int.from_bytes(bytes.fromhex(memory.bytes), "little") == one.address
    ]

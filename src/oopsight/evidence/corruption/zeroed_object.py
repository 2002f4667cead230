"""Whether the object that a NULL pointer was read from is nothing but zeros.

An object in use mostly holds something; memory that was freed and allocated again with its content
cleared does not, until its new owner has filled it.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session

_MOST = 4096
_LEAST = 32
_SHOWN = 64


@dataclass(frozen=True)
class ZeroedObject:
    """The object."""

    address: Address
    size: int
    cache: str
    memory: BytesPointer
    """Its first bytes."""


def collect(session: Session, flow: DataFlow) -> ZeroedObject | Missing:
    """Look at the object that the bad value was read from."""
    from drgn import FaultError

    none = Missing(Why.NOT_APPLICABLE, "no NULL pointer was read from an object of zeros")
    held = flow.first.held_in
    slab = held.slab if held is not None else None
    if slab is None or slab.freed or slab.size < _LEAST or flow.first.end is None:
        return none
    if flow.first.end.value != 0:
        return none
    try:
        data = session.read(slab.address, min(slab.size, _MOST))
    except FaultError:
        return none
    if any(data):
        return none
    memory = BytesPointer(slab.address, data[:_SHOWN].hex())
    return ZeroedObject(slab.address, slab.size, slab.cache, memory)

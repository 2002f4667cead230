"""A callback that takes itself for that of another member of its object, as container_of() lets it.

The kernel hands a callback the member of an object that names it: a work item, a timer. Where the
object has two such members, and what is right from the one is nonsense from the other, the callback
has counted from the wrong one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.owner import Reference, SlabObject, neighbour, owner_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oopsight.evidence.flow.ways import Way

_OTHERS = (1, -1, 2, -2, 3, -3, 4, -4)
"""Places in the slab."""


@dataclass(frozen=True)
class WrongMember:
    """The callback, and the two members."""

    module: str
    function: str
    given: Address
    """The member that names it."""
    other: Address
    """The one that it counts from."""
    other_function: str
    """What that names."""
    read: Address
    """Where it read the bad value."""
    meant: Address
    """What lies as far from the other member."""
    memory: BytesPointer
    """The pointer there."""


def collect(session: Session, flow: DataFlow, modules: Modules) -> WrongMember | Missing:
    """Look at what a callback was handed, and at the object that it is in."""
    none = Missing(Why.NOT_APPLICABLE, "no callback read the bad pointer from its own object")
    held = flow.first.held_in
    one = held.slab if held is not None else None
    if held is None or one is None or one.freed or not flow.of_a_pointer:
        return none
    if flow.bad is None or flow.bad.is_memory or len(flow.ways) < 2:
        return none
    inside = {int(ref.value): ref for ref in one.refers}
    for function, given in _handed(flow.first.function, flow.ways[1]):
        ref = _naming(session, one, function)
        # A member names its callback behind its beginning, and not far from there.
        if ref is None or not 0 <= one.address + ref.offset - given < 64:
            continue
        for other in inside.values():
            found = _as_from(session, modules, one, held.address, given, ref, other)
            if found is not None:
                return found
    return none


def _handed(inner: str, way: Way) -> Iterator[tuple[str, int]]:
    """Functions on a way that were handed its value, and what they were handed."""
    for step in way.steps:
        if step.how == "passed" and step.value is not None:
            yield base_name(inner), int(step.value)
        inner = step.function


def _naming(session: Session, one: SlabObject, function: str) -> Reference | None:
    """The pointer to a function that lies in an object."""
    return next((r for r in one.refers if _function(session, r) == function), None)


def _function(session: Session, ref: Reference) -> str | None:
    """The function that a pointer leads to the very beginning of."""
    try:
        symbol = session.prog.symbol(int(ref.value))
    except LookupError:
        return None
    return base_name(symbol.name) if symbol.address == ref.value else None


def _as_from(
    session: Session,
    modules: Modules,
    one: SlabObject,
    read: Address,
    given: int,
    ref: Reference,
    other: Reference,
) -> WrongMember | None:
    """What the callback would have read, had it been handed another member of the object."""
    function, names = _function(session, ref), _function(session, other)
    far = other.offset - ref.offset
    meant = int(read) + far
    if function is None or names in (None, function) or other.module != ref.module:
        return None
    if not one.address <= meant <= one.end - 8 or not one.address <= given + far:
        return None
    value = read_word(session, meant)
    if value is None or value % 8 or not owner_of(session, modules, value).is_memory:
        return None
    if _is_pointer_in_others(session, modules, one, int(read), (ref, other)):
        return None
    return WrongMember(
        module=ref.module,
        function=function,
        given=Address(given),
        other=Address(given + far),
        other_function=names or "",
        read=read,
        meant=Address(meant),
        memory=BytesPointer(Address(meant), value.to_bytes(8, "little").hex()),
    )


def _is_pointer_in_others(
    session: Session,
    modules: Modules,
    one: SlabObject,
    read: int,
    refs: tuple[Reference, ...],
) -> bool:
    """Whether other objects of the kind have a pointer where the nonsense is: then it is damage."""
    for steps in _OTHERS:
        like = neighbour(session, modules, one, steps)
        if like is None or like.state != "allocated":
            continue
        begin = int(like.address)
        if any(read_word(session, begin + ref.offset) != ref.value for ref in refs):
            continue
        value = read_word(session, read - int(one.address) + begin)
        if value and owner_of(session, modules, value).is_memory:
            return True
    return False

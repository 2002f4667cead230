"""A pointer in a function's frame that a text beside it ran over: a buffer on the stack overflowed.

The canary is looked at only when the function returns; a pointer behind the buffer is used before.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.overrun import run_around
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session
from oopsight.text import printable

_BEFORE, _AFTER = 256, 32
_LEAST_OVER = 6
"""Bytes of the pointer: its upper ones at least are text, in the lower ones the text may end."""
_SHOWN = 48


@dataclass(frozen=True)
class StackOverrun:
    """The text, and where it was found in place of a pointer."""

    address: Address
    """Of the pointer."""
    start: Address
    """Where the text begins."""
    text: str
    function: str | None
    """Whose frame it is; ``None`` where that is not known."""
    module: str | None
    memory: BytesPointer
    """The text up to the end of the pointer."""


def collect(session: Session, flow: DataFlow) -> StackOverrun | Missing:
    """Look at where the bad pointer lay on the stack."""
    from drgn import FaultError

    none = Missing(Why.NOT_APPLICABLE, "no pointer on the stack was run over by a text")
    way = flow.first
    if not flow.of_a_pointer or flow.bad is None or flow.bad.kind != "non-canonical":
        return none
    kept = next((step for step in reversed(way.steps) if step.how == "reloaded"), None)
    if kept is not None and kept.agrees and kept.memory is not None:
        address, function, module = int(kept.memory.address), kept.function, kept.module
    elif way.ended == "loaded" and way.held_in is not None and way.held_in.kind == "stack":
        address, function, module = int(way.held_in.address), None, None
    else:
        return none
    begin = address - _BEFORE
    try:
        data = session.read(begin, _BEFORE + _AFTER)
    except FaultError:
        return none
    found = run_around(data, _BEFORE)
    if found is None or found[2] != "text" or found[1] < _BEFORE + _LEAST_OVER:
        return none
    start = begin + found[0]
    return StackOverrun(
        Address(address),
        Address(start),
        printable(data[found[0] : found[1]][:_SHOWN]),
        function,
        module,
        BytesPointer(Address(start), data[found[0] : _BEFORE + 8].hex()),
    )

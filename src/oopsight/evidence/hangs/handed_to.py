"""How far something is from what a module's handlers are handed: a timer, a work item, a notifier.

Such a part of an object holds its handler's address, at one of a few distances from its own
beginning, and the handler gets nothing but that. Not a fact by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.evidence.modules.modules import Module
from oopsight.kernel.machine_code import MASK
from oopsight.kernel.slab_objects import slab_object_info
from oopsight.session import Session

HandedTo = dict[int, frozenset[int]]
"""By where a function begins: distances from its first argument, modulo 2**64."""
_MOST_BYTES = 1 << 13
_WORD = 8
_HANDLERS = (0, 8, 0x10, 0x18, 0x28)
"""Of a notifier; of what RCU calls; of irq_work and a kthread's work; of a timer, a work item and a
tasklet; of a hrtimer."""


def handed_to(session: Session, address: int, module: Module) -> HandedTo:
    """The handlers of a module that are named in the object, or variable, that something is in."""
    found: dict[int, set[int]] = {}
    for at, function in handlers_in(session, address, module):
        away = {(address - at + far) & MASK for far in _HANDLERS}
        found.setdefault(function, set()).update(away)
    return {function: frozenset(away) for function, away in found.items()}


def handlers_in(session: Session, address: int, module: Module) -> Iterator[tuple[int, int]]:
    """Where a module's code is named in what holds an address, and what is named."""
    start, data = _around(session, address)
    for offset in range(0, len(data) - _WORD + 1, _WORD):
        named = int.from_bytes(data[offset : offset + _WORD], "little")
        if module.holds(named):
            yield start + offset, named


def _around(session: Session, address: int) -> tuple[int, bytes]:
    """Where what holds an address begins, and its bytes; none where that is not known."""
    from drgn import FaultError

    try:
        info = slab_object_info(session.prog, address)
        if info is not None:
            start, size = int(info.address), int(info.slab_cache.object_size)
        else:
            symbol = session.prog.symbol(address)
            start, size = int(symbol.address), int(symbol.size)
        return start, session.read(start, min(size, _MOST_BYTES))
    except (FaultError, LookupError, AttributeError, ValueError, OverflowError):
        return 0, b""

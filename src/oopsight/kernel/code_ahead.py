"""What a function goes on to give back or to signal once it gets on, from the machine code alone.

A completion names nobody who will complete it, a page nobody who has locked it. But the code of a
function that is stuck shows, further on, the call of ``complete()`` or ``unlock_page()``, and for
what. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from oopsight.kernel.code_locks import Function, numbered
from oopsight.kernel.held_locks import Place
from oopsight.kernel.lock_wrappers import as_handed
from oopsight.kernel.machine_code import MASK, Expression, direct_target, parsed

_MOST_STEPS = 20_000
_MOST_LOADS = 4
# The call that gives back or signals, by the kind of what its first argument points to.
GIVES: dict[str, str] = {
    "complete": "completion",
    "complete_all": "completion",
    "complete_on_current_cpu": "completion",
    **dict.fromkeys(("complete_and_exit", "kthread_complete_and_exit"), "completion"),
    "up": "semaphore",
    "__wake_up": "event",
    "__wake_up_locked": "event",
    "__wake_up_sync": "event",
    "__wake_up_sync_key": "event",
    "__wake_up_on_current_cpu": "event",
    **dict.fromkeys(("__wake_up_locked_key", "__wake_up_locked_sync_key"), "event"),
    **dict.fromkeys(("swake_up_one", "swake_up_all", "swake_up_locked"), "event"),
    "wake_up_bit": "bit",
    "clear_and_wake_up_bit": "bit",
    "dma_fence_signal": "fence",
    "dma_fence_signal_locked": "fence",
    "dma_fence_signal_timestamp": "fence",
    "dma_fence_signal_timestamp_locked": "fence",
    "unlock_page": "page",
    "folio_unlock": "page",
    "folio_end_read": "page",
    "end_page_writeback": "writeback",
    "folio_end_writeback": "writeback",
    "unlock_buffer": "bit",
    "percpu_up_write": "percpu_rwsem",
    "__percpu_up_read": "percpu_rwsem",
    "rcuwait_wake_up": "percpu_rwsem",
    "__srcu_read_unlock": "srcu",
}
# Behind one of these, what is given back was taken there: it is not held yet.
_TAKES: dict[str, str] = {
    "out_of_line_wait_on_bit_lock": "bit",
    "__lock_buffer": "bit",
    "__lock_page": "page",
    "__folio_lock": "page",
    "__folio_lock_killable": "page",
    "__lock_page_killable": "page",
    "percpu_down_write": "percpu_rwsem",
    "__percpu_down_read": "percpu_rwsem",
    "__srcu_read_lock": "srcu",
    **dict.fromkeys(("down", "down_interruptible", "down_killable", "down_timeout"), "semaphore"),
    "down_trylock": "semaphore",
}
_BIT_KINDS = ("bit", "page")


class Gift(NamedTuple):
    """A call, further on, that gives back or signals."""

    kind: str
    """Of the lock; of a bit with its number, where the code tells."""
    thing: Expression
    """What it gives."""
    site: int
    """Address of the call."""
    by: str
    """The function called."""


def ahead(
    function: Function,
    address: int,
    name_of: Callable[[int], str | None],
    gifts_of: Callable[[int], tuple[Gift, ...]] | None = None,
) -> tuple[Gift, ...]:
    """What the code gives back on some way on from an address, unless it takes it on that way.

    :param address: of an instruction, or a return address
    :param name_of: names the function at an address, ``None`` where none begins there
    :param gifts_of: what the function that begins at an address gives when it is called
    """
    found: dict[int, Gift] = {}
    waiting: list[tuple[int, frozenset[str]]] = [(address, frozenset())]
    seen: set[tuple[int, frozenset[str]]] = set()
    while waiting and len(seen) < _MOST_STEPS:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        at, taken = state
        instruction = function.code.get(at)
        if instruction is None:
            continue
        if instruction.mnemonic in ("call", "jmp"):
            target = direct_target(instruction)
            called = name_of(target) if target is not None and target not in function.code else None
            kind = GIVES.get(called or "")
            thing = function.registers(at).get("rdi")
            if called is not None and kind is not None and kind not in taken and thing is not None:
                kind = numbered(kind, function.registers(at))
                found.setdefault(at, Gift(kind, thing, at, called))
            inner = gifts_of(target) if called is not None and target and gifts_of else ()
            for gift in inner:
                handed = as_handed(gift.thing, function.registers(at))
                if handed is not None and gift.kind.partition(" ")[0] not in taken:
                    found.setdefault(at, gift._replace(thing=handed, site=at))
            if called in _TAKES:
                taken |= {_TAKES[called]}
        elif instruction.mnemonic == "bts":
            taken |= set(_BIT_KINDS)
        waiting += [(there, taken) for there in function.ways(instruction)]
    return tuple(found.values())


def resolve(
    thing: Expression,
    place: Place,
    values: Callable[[str], int | None],
    read: Callable[[int], int | None],
    arguments: Mapping[str, int] | None = None,
) -> int | None:
    """The value of an expression of the code further on, where what is known at a place tells.

    :param values: the real values at the place of callee-saved registers and stack slots
    :param read: a word of memory; ``None`` where it cannot be read
    :param arguments: what the function was called with, by register, where that is known
    """

    def known(one: Expression) -> int | None:
        if arguments and one.base in arguments:
            return (arguments[one.base] + one.offset) & MASK
        return place.value(one, values)

    return _resolve(thing, known, read, _MOST_LOADS)


def _resolve(
    thing: Expression,
    known: Callable[[Expression], int | None],
    read: Callable[[int], int | None],
    loads: int,
) -> int | None:
    value = known(thing)
    if value is not None or not (thing.base.startswith("[") and thing.base.endswith("]")):
        return value
    inner = parsed(thing.base[1:-1])
    if inner is None or not loads:
        return None
    address = _resolve(inner, known, read, loads - 1)
    loaded = read(address) if address is not None else None
    return None if loaded is None else (loaded + thing.offset) & MASK

"""Functions that take a lock for whoever calls them, or give it back for him, as calls of them do.

``bus_acquire(bus)`` takes the mutex of the bus and returns with it: to its caller that is a call
which takes ``bus->lock``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from oopsight.kernel.held_locks import Held
from oopsight.kernel.machine_code import Expression, Registers, parsed

if TYPE_CHECKING:
    from oopsight.kernel.code_locks import Function


class Wrapper(NamedTuple):
    """What a call of a function does to locks."""

    takes: tuple[Held, ...]
    """Whatever it returns."""
    may_take: tuple[Held, ...]
    """If it returns zero, as those do that can fail."""
    gives: tuple[tuple[str, Expression | None], ...]


def wrapper(called: Function, site: int, registers: Registers) -> Wrapper:
    """What a call does.

    :param site: its address
    :param registers: what its caller has there
    """
    left = {leak.held.site for leak in called.leaks}
    given = {kind for kind, _ in called.given}
    passed = [held for held in called.taken if held.site not in left and held.kind not in given]

    def as_held(some: Iterable[Held]) -> tuple[Held, ...]:
        ordered = sorted(some, key=lambda held: held.site)
        return tuple(
            held._replace(lock=as_handed(held.lock, registers), site=site) for held in ordered
        )

    return Wrapper(
        as_held(held for held in passed if held in called.kept),
        as_held(held for held in passed if held not in called.kept),
        tuple((kind, as_handed(lock, registers)) for kind, lock in sorted(called.given, key=str)),
    )


def as_handed(lock: Expression | None, registers: Registers) -> Expression | None:
    """What a called function names by its arguments, as its caller has it; ``None`` if unknown."""
    if lock is None or not lock.base:
        return lock
    if lock.base.startswith("["):
        inner = parsed(lock.base[1:-1])
        place = as_handed(inner, registers) if inner is not None and inner.base else inner
        return Expression(f"[{place}]", lock.offset) if place is not None else None
    known = registers.get(lock.base)
    return known.plus(lock.offset) if known is not None else None

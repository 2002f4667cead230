"""What is said of locks in a function's code: which are held at a place, and on a way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.kernel.calling_convention import CALLEE_SAVED
from oopsight.kernel.lock_functions import BOTTOM_HALVES
from oopsight.kernel.machine_code import (
    FRAME,
    MASK,
    SLOT,
    Expression,
    Registers,
    at_entry,
)

_BH = "_bh"


class Held(NamedTuple):
    """A lock that the code has taken and not given back."""

    kind: str
    """``spinlock``, ``mutex``, ``rwsem``, ``semaphore``, ``rtmutex``, ``page``, ``rcu``, ``srcu``,
    ``percpu_rwsem``, ``bit 3``; or ``preemption``, ``bottom halves`` or ``interrupts``, which are
    off rather than held."""
    lock: Expression | None
    """Which one; ``None`` where the code does not tell."""
    site: int
    """Address of the instruction that took it, mostly a call."""
    by: str
    """The function called; for what is no call, the kernel's name for it."""

    @property
    def offset(self) -> int | None:
        """Its distance from the pointer through which the code came to it; ``None`` without one."""
        if self.lock is None or self.lock.base in ("", FRAME):
            return None
        return self.lock.offset


def still_off(before: tuple[Held, ...], after: tuple[Held, ...], by: str) -> tuple[Held, ...]:
    """What is held after an unlock, with what it leaves off that the lock's taking switched off.

    A lock taken with bottom halves off, and given back without them, leaves them off until another
    is given back with them.

    :param by: the function that unlocked
    """
    given = next((one for one in before if one not in after and one.kind == "spinlock"), None)
    if given is None or given.by.endswith(_BH) == by.endswith(_BH):
        return after
    if given.by.endswith(_BH):
        return (*after, Held(BOTTOM_HALVES, None, given.site, given.by))
    off = next((one for one in reversed(after) if one.kind == BOTTOM_HALVES), None)
    return tuple(one for one in after if one is not off)


@dataclass(frozen=True)
class Place:
    """What holds whenever the code is at a place."""

    held: tuple[Held, ...]
    """Held on every path to it."""
    wanted: Held | None
    """The lock that a call in progress is to take."""
    registers: Registers
    """What registers hold there, as expressions, on every path."""

    def address(self, held: Held, values: Callable[[str], int | None]) -> int | None:
        """The address of a lock, where the code and the registers tell.

        :param values: the real values at the place of callee-saved registers (``rbx``) and stack
            slots (``@-24``: at that offset from the caller's stack pointer)
        """
        return None if held.lock is None else self.value(held.lock, values)

    def value(self, thing: Expression, values: Callable[[str], int | None]) -> int | None:
        """The value of an expression, where the registers tell."""
        if not thing.base:
            return thing.offset
        for place, known in self.registers.items():
            if known.base == thing.base and (place in CALLEE_SAVED or place.startswith(SLOT)):
                value = values(place)
                if value is not None:
                    return (value + thing.offset - known.offset) & MASK
        return None

    def saved(self, register: str) -> int | None:
        """Where the caller's value of a callee-saved register is kept.

        :return: the slot's offset from the canonical frame address, the caller's stack pointer;
            0 where the register still holds it; ``None`` where it is lost
        """
        entry = at_entry(register)
        if self.registers.get(register) == entry:
            return 0
        return next(
            (int(k[1:]) for k, v in self.registers.items() if v == entry and k[0] == SLOT), None
        )


@dataclass(frozen=True)
class Leak:
    """A way through the function that returns with a lock which another way gives back."""

    held: Held
    returns: int
    """Address of the return."""
    acts: bool = False
    """Whether it stores to memory, other than the own stack, on the way; where that was asked."""
    again: int | None = None
    """Address of a call on the way that gives back another such lock, which is not held."""

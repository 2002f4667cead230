"""Ways through a function that give back another lock than the one which it has taken.

``mutex_unlock(&at->lock)`` behind a branch on which ``at`` was moved on: on one way it is the lock
that was taken, on another it is not. Each way is followed with what registers hold on it. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oopsight.kernel.code_locks import ONCE, Function
from oopsight.kernel.disassembler import REGISTER
from oopsight.kernel.held_locks import Held, Leak
from oopsight.kernel.lock_functions import ALL_ACQUIRES, COUNTED, RELEASES, VARIABLES
from oopsight.kernel.machine_code import (
    Expression,
    Instruction,
    Registers,
    after_call,
    assign,
    direct_target,
    register_of,
)

_MOST_STATES = 3000
_KEEP = ("cmp", "test", "push", "nop")
"""Mnemonics of what leaves its first operand as it was."""


class _State(NamedTuple):
    at: int
    held: tuple[Held, ...]
    other: tuple[int, str] | None
    """A call that gave back another lock, and of what kind."""
    registers: frozenset[tuple[str, Expression]]


def others_unlocked(function: Function, name_of: Callable[[int], str | None]) -> tuple[Leak, ...]:
    """Returns with a lock in whose place another was given back, by a call that can give back both.

    :param name_of: names the function at an address
    :return: none as well where there are too many ways
    """
    walk = _Walk(function, name_of)
    return walk.walk() if walk.asked else ()


class _Walk:
    def __init__(self, function: Function, name_of: Callable[[int], str | None]) -> None:
        self._function = function
        self._name_of = name_of
        self._right: set[int] = set()
        """Calls that gave back what was taken."""
        self.asked = {
            at
            for at, row in function.code.items()
            if row.mnemonic in ("call", "jmp")
            and RELEASES.get(self._called(row)) in ONCE
            and self._called(row) not in VARIABLES
            and function.registers(at).get("rdi") is None
        }
        """Calls that give back what depends on the way."""

    def _called(self, row: Instruction) -> str:
        target = direct_target(row)
        inside = target is None or target in self._function.code
        return "" if inside else self._name_of(target or 0) or ""

    def walk(self) -> tuple[Leak, ...]:
        """Follow all ways from the entry."""
        start = self._function.start
        entry = frozenset(self._function.registers(start).items())
        waiting = [_State(start, (), None, entry)]
        seen: set[_State] = set()
        found: dict[int, Leak] = {}
        while waiting:
            state = waiting.pop()
            row = self._function.code.get(state.at)
            if row is None or state in seen:
                continue
            if len(seen) > _MOST_STATES:
                return ()
            seen.add(state)
            registers = dict(state.registers)
            after = self._step(row, state, registers)
            ways = self._function.ways(row)
            if row.mnemonic == "ret" or (row.mnemonic == "jmp" and not ways):
                found |= _returned(after)
            known = frozenset(registers.items())
            waiting += [after._replace(at=there, registers=known) for there in ways]
        return tuple(one for one in found.values() if one.again in self._right)

    def _step(self, row: Instruction, state: _State, registers: Registers) -> _State:
        if row.mnemonic in ("call", "jmp"):
            called = self._called(row)
            if called and called not in VARIABLES:
                lock = registers.get("rsi" if COUNTED.fullmatch(called) else "rdi")
                state = self._locked(row, called, lock, state)
            if row.mnemonic == "call":
                after_call(row, registers)
        elif not row.mnemonic.startswith("j"):
            assign(row, registers)
            _name_unknown(row, registers)
        return state

    def _locked(
        self, row: Instruction, called: str, lock: Expression | None, state: _State
    ) -> _State:
        kind = ALL_ACQUIRES.get(called)
        if kind in ONCE and lock is not None:
            taken = Held(kind, lock, row.address, called)
            return state if taken in state.held else state._replace(held=(*state.held, taken))
        kind = RELEASES.get(called)
        same = [one for one in state.held if one.kind == kind]
        if not same:
            return state
        match = next((one for one in reversed(same) if lock in (None, one.lock)), None)
        if match is not None:
            self._right |= {row.address} if lock is not None else set()
            return state._replace(held=tuple(one for one in state.held if one is not match))
        if row.address in self.asked and kind is not None:
            return state._replace(other=(row.address, kind))
        return state._replace(held=tuple(one for one in state.held if one is not same[-1]))


def _name_unknown(row: Instruction, registers: Registers) -> None:
    """Give what was computed, and is not followed, a name: copies of it are known for the same."""
    if row.mnemonic not in _KEEP and row.operands and row.operands[0].type == REGISTER:
        name = register_of(row.operands[0].reg)
        if name is not None:
            registers.setdefault(name, Expression(f"={row.address:#x}", 0))


def _returned(state: _State) -> dict[int, Leak]:
    """What a way returns with, where it gave back another."""
    if state.other is None:
        return {}
    again, kind = state.other
    return {one.site: Leak(one, state.at, again=again) for one in state.held if one.kind == kind}

"""Ways through a function that return with something switched off which others switch on again.

``napi_disable(napi); if (failed) return status; …; napi_enable(napi);``: what was switched off then
stays so, and whoever waits for it waits for ever. Each way is followed with what was decided on it,
so that ``if (running) off(); …; if (running) on();`` is no way with only one of the two. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from oopsight.kernel.calling_convention import CALLEE_SAVED
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE, REGISTER
from oopsight.kernel.machine_code import (
    KEEP_FLAGS,
    Expression,
    Instruction,
    Operand,
    Registers,
    direct_target,
    memory_place,
    register_of,
    result_of,
    stores,
)

_MOST_STATES = 6000
_CONTRARY = {"jne": "je", "jns": "js", "jae": "jb", "ja": "jbe", "jge": "jl", "jg": "jle"}
_JUMPS = (*_CONTRARY, *_CONTRARY.values())
_MOVES = ("mov", "movzx", "movsx", "movsxd")
_TRACKED = (*CALLEE_SAVED, "rax")
_ON = 0
"""In place of where it was switched off: it was switched on."""


class Switch(str, Enum):
    """What a call does."""

    OFF = "off"
    ON = "on"
    TURN = "turn"
    """Off, or on if it is off."""


class Left(NamedTuple):
    """A way out with it off."""

    off: int
    """Address of the call that switched it off."""
    returns: int
    """Address of the return."""


class Ways(NamedTuple):
    """What a function leaves."""

    off: tuple[Left, ...]
    back: bool
    """Whether some way switches off and on again."""
    on: bool
    """Whether it can return with it switched on by itself."""
    untouched: bool
    """Whether it can return and have done nothing of this."""
    alone: bool = False
    """Whether some way switches on what it has not switched off."""

    @property
    def uneven(self) -> bool:
        """Whether it switches off before it switches on, but not on all ways."""
        return self.back and self.alone

    @property
    def leaks(self) -> tuple[Left, ...]:
        """Ways that leave it off, of a function that means to switch it on again."""
        return self.off if self.back else ()

    @property
    def effect(self) -> Switch | None:
        """What a call of it does, for its caller."""
        if self.off and not self.on:
            return Switch.OFF
        return Switch.ON if self.on and not self.off else None


_Key = tuple[str, Expression, "Expression | None"]
"""A comparison: the instruction, and what it compares."""


class _State(NamedTuple):
    at: int
    off: int | None
    flags: _Key | None
    decided: frozenset[tuple[_Key, str, bool]]
    values: frozenset[tuple[str, Expression]]
    """What registers hold that may be narrower than a word, as a flag is."""


def ways_out(
    function: Function,
    does: Callable[[int], Switch | None],
    touches: Callable[[Instruction, Expression], Switch | None] | None = None,
) -> Ways | None:
    """Follow all ways.

    :param does: what the function at an address does
    :param touches: what an instruction does that stores at a place
    :return: ``None`` if there are too many ways
    """
    return _Walk(function, does, touches).walk()


class _Walk:
    def __init__(
        self,
        function: Function,
        does: Callable[[int], Switch | None],
        touches: Callable[[Instruction, Expression], Switch | None] | None,
    ) -> None:
        self._function = function
        self._does = does
        self._touches = touches
        self._ends: dict[tuple[int, int], None] = {}
        self._back = self._on = self._untouched = self._alone = False

    def walk(self) -> Ways | None:
        waiting = [_State(self._function.start, None, None, frozenset(), frozenset())]
        seen: set[_State] = set()
        while waiting:
            state = waiting.pop()
            row = self._function.code.get(state.at)
            if row is None or state in seen:
                continue
            if len(seen) > _MOST_STATES:
                return None
            seen.add(state)
            waiting += self._step(row, state)
        left = tuple(Left(*one) for one in self._ends)
        return Ways(left, self._back, self._on, self._untouched, self._alone)

    def _step(self, row: Instruction, state: _State) -> list[_State]:
        if row.mnemonic == "ret":
            self._end(row, state.off)
            return []
        onwards = self._function.ways(row)
        target = direct_target(row) if row.mnemonic in ("call", "jmp") else None
        if target is not None and (row.mnemonic == "call" or not onwards):
            off = self._after(row, self._does(target), state.off)
            if row.mnemonic == "jmp":
                self._end(row, off)
                return []
            return [self._called(row, state)._replace(at=there, off=off) for there in onwards]
        if row.mnemonic in _JUMPS:
            return self._branch(row, state)
        off = self._after(row, self._touched(row), state.off)
        flags = self._compared(row, state)
        values = self._assigned(row, state)
        return [state._replace(at=to, off=off, flags=flags, values=values) for to in onwards]

    def _touched(self, row: Instruction) -> Switch | None:
        """What an instruction does by what it stores."""
        if self._touches is None or not stores(row):
            return None
        place = memory_place(row, self._function.registers(row.address))
        return self._touches(row, place) if place is not None else None

    def _after(self, row: Instruction, switch: Switch | None, off: int | None) -> int | None:
        if switch is Switch.TURN:
            switch = Switch.ON if off else Switch.OFF
        if switch is Switch.OFF:
            return row.address
        if switch is Switch.ON:
            self._back = self._back or bool(off)
            self._alone = self._alone or off is None
            return _ON
        return off

    def _end(self, row: Instruction, off: int | None) -> None:
        if off is None:
            self._untouched = True
        elif off == _ON:
            self._on = True
        else:
            self._ends[off, row.address] = None

    @staticmethod
    def _called(row: Instruction, state: _State) -> _State:
        """What is known still after a call: nothing of what the same one had returned before."""
        result = result_of(row.address).base
        kept = frozenset(
            one for one in state.decided if not any(v and v.base == result for v in one[0][1:])
        )
        values = {one for one in state.values if one[0] in CALLEE_SAVED and one[1].base != result}
        values.add(("rax", result_of(row.address)))
        return state._replace(flags=None, decided=kept, values=frozenset(values))

    def _branch(self, row: Instruction, state: _State) -> list[_State]:
        target = direct_target(row)
        found = []
        for there in self._function.ways(row):
            if state.flags is None:
                found.append(state._replace(at=there))
                continue
            condition = _CONTRARY.get(row.mnemonic, row.mnemonic)
            holds = (there == target) == (condition == row.mnemonic)
            if (state.flags, condition, not holds) not in state.decided:
                decided = state.decided | {(state.flags, condition, holds)}
                found.append(state._replace(at=there, decided=decided))
        return found

    def _compared(self, row: Instruction, state: _State) -> _Key | None:
        if row.mnemonic in (*KEEP_FLAGS, "jmp"):
            return state.flags
        if row.mnemonic not in ("cmp", "test"):
            return None
        first, second = (self._value(row, one, dict(state.values)) for one in row.operands)
        return None if first is None or second is None else (row.mnemonic, first, second)

    def _assigned(self, row: Instruction, state: _State) -> frozenset[tuple[str, Expression]]:
        """What registers hold after an instruction, by where it was read or computed."""
        written = [name for name in row.written if name in _TRACKED]
        if not written:
            return state.values
        values = dict(state.values)
        moves = row.mnemonic in _MOVES and len(row.operands) == len(("to", "from"))
        value = self._value(row, row.operands[1], values) if moves else None
        for name in written:
            values[name] = value or Expression(f"computed at {row.address:#x}", 0)
        return frozenset(values.items())

    def _value(self, row: Instruction, operand: Operand, values: Registers) -> Expression | None:
        if operand.type == IMMEDIATE:
            return Expression("", operand.imm)
        registers = self._function.registers(row.address)
        if operand.type == REGISTER:
            name = register_of(operand.reg) or ""
            return registers.get(name) or values.get(name)
        place = memory_place(row, registers)
        return Expression(f"[{place}]", 0) if place is not None else None

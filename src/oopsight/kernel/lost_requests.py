"""Ways through a driver's function on which a request that it has is neither ended nor kept.

Each way is followed from where the function gets the request: from the load, the call or the
argument. To have been taken off a list counts most: nothing else leads to it then. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import MEMORY, READ, REGISTER
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    Registers,
    after_call,
    assign,
    direct_target,
    memory_place,
    register_of,
    stored_number,
    stores,
)

ENDS, KEEPS, LOOKS = "ends", "keeps", "looks"
Does = Callable[[int | None, str], str]
"""What a function, ``None`` for one that a pointer tells, does with a request in a register."""

_MOST_STATES = 3000
_REQUEST = "request"
_READ = f"[{_REQUEST}"
"""What values begin with that were read from it."""
_POISONS = (0xDEAD000000000100, 0xDEAD000000000122)  # LIST_POISON1 and 2 on x86-64
_WORD = 8


class Fate(NamedTuple):
    """What becomes of it."""

    ended: bool
    kept: bool
    """Whether it is stored, or handed to somebody who may keep it, on some way."""
    alone: frozenset[Expression]
    """Where it is stored so that only one can be there: itself, and not by a member."""
    lost: tuple[int, ...]
    """Where the function returns, or gets the next one, and nobody has it."""
    untied: tuple[int, ...]
    """Those of them before which it was taken off a list, and nothing of it told to anybody."""


class _Met(NamedTuple):
    """What was done with it on a way."""

    used: bool = False
    untied: bool = False
    told: bool = False
    """Whether something that was read from it is stored elsewhere, as its tag for the device."""


class _State(NamedTuple):
    at: int
    held: frozenset[tuple[str, Expression]]
    met: _Met


def given(function: Function, register: str, does: Does) -> Fate | None:
    """Of a request that it is handed; ``None`` if there are too many ways."""
    registers = dict(function.registers(function.start))
    registers[register] = Expression(_REQUEST, 0)
    return _Walk(function, does, None).walk([(function.start, registers)])


def gotten(function: Function, at: int, does: Does) -> Fate | None:
    """Of what a load or a call at an address brings, if it is a request."""
    row = function.code[at]
    registers = dict(function.registers(at))
    if row.mnemonic == "call":
        after_call(row, registers)
        name = "rax"
    else:
        assign(row, registers)
        name = row.written[0]
    registers[name] = Expression(_REQUEST, 0)
    return _Walk(function, does, at).walk([(there, registers) for there in function.ways(row)])


def brings(row: Instruction) -> bool:
    """Whether an instruction can get a request: it calls, or loads a word from memory."""
    if row.mnemonic == "call":
        return True
    operands = row.operands
    loads = row.mnemonic == "mov" and len(operands) > 1 and bool(row.written)
    return loads and operands[1].type == MEMORY and operands[1].size == _WORD


class _Walk:
    def __init__(self, function: Function, does: Does, again: int | None) -> None:
        self._function = function
        self._does = does
        self._again = again
        self._ended = self._kept = False
        self._alone: set[Expression] = set()
        self._lost: dict[int, bool] = {}

    def walk(self, begin: list[tuple[int, Registers]]) -> Fate | None:
        waiting = [(at, registers, _Met()) for at, registers in begin]
        seen: set[_State] = set()
        while waiting:
            at, registers, met = waiting.pop()
            row = self._function.code.get(at)
            held = frozenset((k, v) for k, v in registers.items() if _is_of_it(v))
            state = _State(at, held, met)
            if row is None or state in seen:
                continue
            if len(seen) > _MOST_STATES:
                return None
            seen.add(state)
            if at == self._again or row.mnemonic == "ret":
                self._lose(at, met)
                continue
            waiting += self._step(row, dict(registers), met)
        return Fate(
            self._ended,
            self._kept,
            frozenset(self._alone),
            tuple(sorted(self._lost)),
            tuple(sorted(at for at, untied in self._lost.items() if untied)),
        )

    def _lose(self, at: int, met: _Met) -> None:
        if met.used:
            self._lost[at] = self._lost.get(at, False) or (met.untied and not met.told)

    def _step(
        self, row: Instruction, registers: Registers, met: _Met
    ) -> list[tuple[int, Registers, _Met]]:
        onwards = self._function.ways(row)
        if row.mnemonic == "call" or (row.mnemonic == "jmp" and not onwards):
            done = self._call(row, registers, untied=met.untied)
            self._ended = self._ended or done == ENDS
            self._kept = self._kept or done == KEEPS
            if done in (ENDS, KEEPS):
                return []
            told = met.told or self._tells(row, registers)
            met = met._replace(used=met.used or done == LOOKS, told=told)
            if row.mnemonic == "jmp":
                self._lose(row.address, met)
                return []
            after_call(row, registers)
        elif not row.mnemonic.startswith("j"):
            place = memory_place(row, registers)
            mine = place is not None and place.base == _REQUEST
            if self._is_kept(row, registers, place):
                self._kept = True
                return []
            met = _Met(
                met.used or mine,
                met.untied or (mine and _unties(row, registers)),
                met.told or _is_told(row, registers, place),
            )
            assign(row, registers)
            if place is not None and _is_of_it(place) and row.written and not stores(row):
                # Of less than a word, too: its tag is one.
                registers.setdefault(row.written[0], Expression(_READ, 0))
        return [(there, registers, met) for there in onwards]

    def _tells(self, row: Instruction, registers: Registers) -> bool:
        """Whether a call hands on what was read from it."""
        values = {name: registers.get(name) for name in ARGUMENTS}
        target = direct_target(row)
        return any(
            value is not None and value.base.startswith(_READ) and self._does(target, name) == KEEPS
            for name, value in values.items()
        )

    def _call(self, row: Instruction, registers: Registers, *, untied: bool) -> str | None:
        """What is done by a call with it; ``None`` where it does not get it."""
        target = direct_target(row)
        done = set()
        for name in ARGUMENTS:
            value = registers.get(name)
            if value is not None and value.base == _REQUEST:
                done.add(self._does(target, name))
            elif value is not None and untied and value.base.startswith(_READ):
                # It may be what keeps a request, and not one itself.
                done.add(self._does(target, name))
        return next((one for one in (ENDS, KEEPS, LOOKS) if one in done), None)

    def _is_kept(self, row: Instruction, registers: Registers, place: Expression | None) -> bool:
        """Whether it gets to memory other than the own stack and its own."""
        if not stores(row):
            return False
        sources = [register_of(o.reg) for o in row.operands if o.type == REGISTER]
        read = [o for o in row.operands if o.type == REGISTER and o.access & READ]
        values = [registers.get(name or "") for name in sources if read]
        mine = [value for value in values if value is not None and value.base == _REQUEST]
        if not mine or (place is not None and place.base in (FRAME, _REQUEST)):
            return False
        if place is not None and any(not one.offset for one in mine):
            self._alone.add(place)
        return True


def _is_of_it(value: Expression) -> bool:
    """Whether it is the request's address, or was read from there."""
    return value.base == _REQUEST or value.base.startswith(_READ)


def _is_told(row: Instruction, registers: Registers, place: Expression | None) -> bool:
    """Whether it stores what was read from the request elsewhere; a list's links are its own."""
    if not stores(row) or (place is not None and (place.base == FRAME or _is_of_it(place))):
        return False
    sources = [register_of(o.reg) for o in row.operands if o.type == REGISTER]
    values = [registers.get(name or "") for name in sources]
    return any(value is not None and value.base.startswith(_READ) for value in values)


def _unties(row: Instruction, registers: Registers) -> bool:
    """Whether it leaves a member of a list as one that was taken off: poisoned, or by itself."""
    if row.mnemonic != "mov" or not stores(row) or row.operands[0].size != _WORD:
        return False
    if stored_number(row, registers) in _POISONS:
        return True
    place = memory_place(row, registers)
    value = registers.get(register_of(row.operands[1].reg) or "")
    return value is not None and value.base == _REQUEST and place == value

"""Ways through a driver's function on which I/O that it has is neither ended nor kept.

Each way is followed from where the function gets the request, or bio: from the load, the call or
the argument. To have been taken off a list counts most: nothing else leads to it then. Who answers
otherwise than where it ended or kept it has told its caller. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oopsight.kernel.answers import answer_in, assign_with_numbers
from oopsight.kernel.calling_convention import ARGUMENTS, CALLEE_SAVED
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import MEMORY, READ, REGISTER
from oopsight.kernel.machine_code import (
    FRAME,
    KEEP_FLAGS,
    Expression,
    Instruction,
    Registers,
    after_call,
    assign,
    compared_number,
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
_IF_NONE = ("je", "jne")
_ANSWERS = ("rax", *CALLEE_SAVED)


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
    silent: tuple[int, ...]
    """Those of them before which nothing of it was told to anybody."""
    answers: dict[int, int | None]
    """By where it is lost, the number that is returned, if it is known."""
    good: frozenset[int | None]
    """What is returned where it was ended or kept."""

    def is_told(self, at: int) -> bool:
        """Whether what is returned where it is lost tells so: no other way returns that."""
        answer = self.answers.get(at)
        good = answer in self.good or (answer == 0 and None in self.good)
        return answer is None or not good


class _Met(NamedTuple):
    """What was done with it on a way."""

    used: bool = False
    untied: bool = False
    told: bool = False
    """Whether something that was read from it is stored elsewhere, as its tag for the device."""
    done: bool = False
    """Whether it was ended or kept."""
    asked: bool = False
    """Whether the flags tell if there is one."""


class _State(NamedTuple):
    at: int
    held: frozenset[tuple[str, Expression]]
    met: _Met


def given(function: Function, register: str, does: Does) -> Fate | None:
    """Of a request that it is handed; ``None`` if there are too many ways."""
    registers = dict(function.registers(function.start))
    registers[register] = Expression(_REQUEST, 0)
    return _Walk(function, does, None).walk([(function.start, registers)], _Met(used=True))


def gotten(function: Function, at: int, does: Does, *, stays: bool = False) -> Fate | None:
    """Of what a load or a call at an address brings, if it is a request.

    :param stays: each load from that place brings the same
    """
    row = function.code[at]
    registers = dict(function.registers(at))
    if row.mnemonic == "call":
        after_call(row, registers)
        name = "rax"
    else:
        assign(row, registers)
        name = row.written[0]
    registers[name] = Expression(_REQUEST, 0)
    came = memory_place(row, function.registers(at))
    if stays:
        same = {r: v.offset for r, v in registers.items() if v.base == f"[{came}]"}
        registers |= {r: Expression(_REQUEST, offset) for r, offset in same.items()}
    onwards = [(there, registers) for there in function.ways(row)]
    return _Walk(function, does, at, came, stays=stays).walk(onwards)


def brings(row: Instruction) -> bool:
    """Whether an instruction can get a request: it calls, or loads a word from memory."""
    if row.mnemonic == "call":
        return True
    operands = row.operands
    loads = row.mnemonic == "mov" and len(operands) > 1 and bool(row.written)
    return loads and operands[1].type == MEMORY and operands[1].size == _WORD


class _Walk:
    def __init__(
        self,
        function: Function,
        does: Does,
        again: int | None,
        came: Expression | None = None,
        *,
        stays: bool = False,
    ) -> None:
        self._function = function
        self._does = does
        self._again = again
        self._came = came
        self._stays = stays
        self._ended = self._kept = False
        self._alone: set[Expression] = set()
        self._lost: dict[int, list[_Met]] = {}
        self._answers: dict[int, int | None] = {}
        self._good: set[int | None] = set()

    def walk(self, begin: list[tuple[int, Registers]], met: _Met | None = None) -> Fate | None:
        waiting = [(at, registers, met or _Met()) for at, registers in begin]
        seen: set[_State] = set()
        while waiting:
            at, registers, met = waiting.pop()
            row = self._function.code.get(at)
            held = frozenset((k, v) for k, v in registers.items() if _is_of_it(v) or _counts(k, v))
            state = _State(at, held, met)
            if row is None or state in seen:
                continue
            if len(seen) > _MOST_STATES:
                return None
            seen.add(state)
            if at == self._again or row.mnemonic == "ret":
                self._leave(row, registers, met)
                continue
            waiting += self._step(row, dict(registers), met)
        return Fate(
            self._ended,
            self._kept,
            frozenset(self._alone),
            tuple(sorted(self._lost)),
            self._where(lambda met: met.untied and not met.told),
            self._where(lambda met: not met.told),
            self._answers,
            frozenset(self._good),
        )

    def _where(self, holds: Callable[[_Met], bool]) -> tuple[int, ...]:
        return tuple(sorted(at for at, ways in self._lost.items() if any(map(holds, ways))))

    def _leave(self, row: Instruction, registers: Registers, met: _Met) -> None:
        """The function returns, jumps to another, or gets the next one."""
        answer = answer_in(registers) if row.mnemonic == "ret" else None
        if met.done and row.address != self._again:
            self._good.add(answer)
        elif met.used and not met.done:
            at = row.address
            known = at not in self._lost or self._answers.get(at) == answer
            self._answers[at] = answer if known else None
            self._lost.setdefault(at, []).append(met)

    def _step(
        self, row: Instruction, registers: Registers, met: _Met
    ) -> list[tuple[int, Registers, _Met]]:
        onwards = self._function.ways(row)
        if row.mnemonic == "call" or (row.mnemonic == "jmp" and not onwards):
            done = self._call(row, registers, untied=met.untied)
            self._ended = self._ended or done == ENDS
            self._kept = self._kept or done == KEEPS
            if done in (ENDS, KEEPS):
                registers, met = _forgotten(registers), _DONE
            else:
                told = met.told or self._tells(row, registers)
                met = met._replace(used=met.used or done == LOOKS, told=told)
            if row.mnemonic == "jmp":
                self._leave(row, registers, met)
                return []
            after_call(row, registers)
        elif row.mnemonic in _IF_NONE and met.asked:
            none = direct_target(row) if row.mnemonic == "je" else row.end
            onwards = [there for there in onwards if there != none]
        elif not row.mnemonic.startswith("j"):
            place = memory_place(row, registers)
            mine = place is not None and place.base == _REQUEST
            if self._is_kept(row, registers, place):
                self._kept = True
                registers, met, mine, place = _forgotten(registers), _DONE, False, None
            tells = _is_told(row, registers, place)
            # What was handed over may be what has such lists, and no entry of one.
            got = self._again is not None
            # To put the next one where this had been takes this one off.
            follows = tells and place is not None and place == self._came
            met = met._replace(
                used=met.used or mine,
                untied=met.untied or follows or (got and mine and _unties(row, registers)),
                told=met.told or (tells and not follows),
                asked=_asks(row, registers) or (met.asked and row.mnemonic in KEEP_FLAGS),
            )
            assign_with_numbers(row, registers)
            if self._stays and not met.done and place == self._came and brings(row):
                registers[row.written[0]] = Expression(_REQUEST, 0)
            elif place is not None and _is_of_it(place) and row.mnemonic.startswith("mov"):
                # Of less than a word, too: its tag is one.
                registers |= {r: Expression(_READ, 0) for r in row.written if r not in registers}
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


_DONE = _Met(done=True)


def _asks(row: Instruction, registers: Registers) -> bool:
    """Whether it compares the request's address with zero."""
    compared = compared_number(row)
    if compared is None or compared[1]:
        return False
    return registers.get(compared[0]) == Expression(_REQUEST, 0)


def _counts(name: str, value: Expression) -> bool:
    """Whether a register has a number that may come to be the answer."""
    return not value.base and name in _ANSWERS


def _forgotten(registers: Registers) -> Registers:
    """Without what there is of one that somebody has now."""
    return {name: value for name, value in registers.items() if not _is_of_it(value)}


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
    """Whether it leaves a member of a list as one that was taken off.

    Poisoned, by itself, or with nothing behind it, as ``bio_list_pop()`` does.
    """
    if row.mnemonic != "mov" or not stores(row) or row.operands[0].size != _WORD:
        return False
    number, place = stored_number(row, registers), memory_place(row, registers)
    if number in _POISONS or (number == 0 and place == Expression(_REQUEST, 0)):
        return True
    value = registers.get(register_of(row.operands[1].reg) or "")
    return value is not None and value.base == _REQUEST and place == value

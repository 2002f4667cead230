"""What registers held before the instructions just carried out, by undoing these one by one.

Back to where several ways meet there is one order in which they can have been carried out. What an
instruction overwrote is lost, unless its result tells it: ``add rbx, 1`` had one less.
"""

from __future__ import annotations

from oopsight.evidence.flow.arithmetic import invert
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import MASK, Constant, Copy, Operation, effect, narrowed
from oopsight.evidence.flow.instructions import CALLEE_SAVED, GENERAL

MOST_UNDONE = 512
LOW = "low "
"""Begins the names of registers of which only the lower 32 bits are known."""

Registers = dict[str, int]


def undo(function: Function, index: int, after: Registers) -> Registers:
    """Registers before an instruction that is no call, as far as those after it tell."""
    row = function.instructions[index]
    before = {
        name: value for name, value in after.items() if name.removeprefix(LOW) not in row.written
    }
    for name in sorted(row.written):
        known = after.get(name)
        done = effect(function, index, name)
        if isinstance(done, (Copy, Operation)) and known is not None:
            _undone(done, known, before)
        elif LOW + name in after and isinstance(done, Operation) and done.size == 4:
            _undone(done, after[LOW + name], before)
    before.pop("rsp", None)
    return before


def _undone(done: Copy | Operation, result: int, known: Registers) -> None:
    """Add the register that an instruction took in, where all else is known."""
    if isinstance(done, Copy):
        _learn(done, result, known)
        return
    for position, one in enumerate(done.inputs):
        if not isinstance(one, Copy) or one.bits < 8 * done.size:
            continue
        rest = done.inputs[:position] + done.inputs[position + 1 :]
        other = _known(rest[0], known) if rest else None
        if rest and other is None:
            continue
        value = invert(done.name, result, position, other, done.size)
        if value is not None:
            _learn(Copy(one.source, one.delta, 8 * done.size), value, known)
            return


def _learn(one: Copy, value: int, known: Registers) -> None:
    """Note what the source of a copy held."""
    if not isinstance(one.source, str):
        return
    if one.bits == 64:
        known.setdefault(one.source, (value - one.delta) & MASK)
    elif one.bits == 32:
        known.setdefault(LOW + one.source, (value - one.delta) & 0xFFFFFFFF)


def _known(what: object, registers: Registers) -> int | None:
    if isinstance(what, Constant):
        return what.value
    if isinstance(what, Copy) and isinstance(what.source, str):
        value = registers.get(what.source)
        if value is None and what.bits == 32:
            value = registers.get(LOW + what.source)
        return None if value is None else narrowed(value, what)
    return None


def history(
    function: Function, at: int, registers: Registers, preserving: frozenset[int]
) -> dict[int, Registers]:
    """Registers before each of the instructions that came just before one, itself included.

    :param registers: what is known before ``at``
    :param preserving: calls, by index, after which all registers are as before
    """
    known = {name: registers[name] for name in GENERAL if name in registers and name != "rsp"}
    states = {at: known}
    while len(function.before[at]) == 1 and at and len(states) < MOST_UNDONE:
        at = function.before[at][0]
        if at in states:
            break
        if not function.instructions[at].is_call:
            known = undo(function, at, known)
        elif at not in preserving:
            known = {name: value for name, value in known.items() if name in CALLEE_SAVED}
        states[at] = known
    return states

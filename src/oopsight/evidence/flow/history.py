"""What registers held before the instructions just carried out, by undoing these one by one.

Back to where several ways meet there is one order in which they can have been carried out. What an
instruction overwrote is lost, unless its result tells it: ``add rbx, 1`` had one less.
"""

from __future__ import annotations

from oopsight.evidence.flow.arithmetic import invert
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import MASK, Constant, Copy, Operation, effect
from oopsight.evidence.flow.instructions import CALLEE_SAVED, GENERAL

MOST_UNDONE = 512

Registers = dict[str, int]


def undo(function: Function, index: int, after: Registers) -> Registers:
    """Registers before an instruction that is no call, as far as those after it tell."""
    row = function.instructions[index]
    before = {name: value for name, value in after.items() if name not in row.written}
    for name in sorted(row.written):
        known = after.get(name)
        done = effect(function, index, name)
        if known is None:
            continue
        if isinstance(done, Copy) and isinstance(done.source, str) and done.bits == 64:
            before[done.source] = (known - done.delta) & MASK
        elif isinstance(done, Operation) and done.size == 8:
            before.update(_undone(done, known, before))
    before.pop("rsp", None)
    return before


def _undone(done: Operation, result: int, known: Registers) -> Registers:
    """The one register that an operation took in, where all else is known."""
    for position, one in enumerate(done.inputs):
        if not isinstance(one, Copy) or not isinstance(one.source, str) or one.bits < 64:
            continue
        others = done.inputs[:position] + done.inputs[position + 1 :]
        other = None
        if others:
            other = _known(others[0], known)
            if other is None:
                continue
        value = invert(done.name, result, position, other, done.size)
        if value is not None and one.source not in known:
            return {one.source: (value - one.delta) & MASK}
    return {}


def _known(what: object, registers: Registers) -> int | None:
    if isinstance(what, Constant):
        return what.value
    if isinstance(what, Copy) and isinstance(what.source, str) and what.bits == 64:
        value = registers.get(what.source)
        return None if value is None else (value + what.delta) & MASK
    return None


def history(
    function: Function, at: int, registers: Registers, preserving: frozenset[int]
) -> dict[int, Registers]:
    """Registers before each of the instructions that came just before one, itself included.

    :param registers: what is known before ``at``
    :param preserving: calls, by index, after which all registers are as before
    """
    known = {name: value for name, value in registers.items() if name in GENERAL}
    known.pop("rsp", None)
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

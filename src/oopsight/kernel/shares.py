"""What functions of a module take and give back that is no lock, and ways that keep it. x86-64.

A bit that is set and cleared, a count that is taken down and raised again: who takes a share may do
so for whoever calls it, and so may who gives it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from oopsight.kernel.atomic_claims import Kept, kept, reached_from
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Instruction, direct_target

_DEEPEST = 3
"""Functions that call each other for it."""
_NEAR = 8
"""Instructions from a call to the jump that its result decides."""


class Moves(NamedTuple):
    """One function."""

    function: Function
    taken: set[int]
    """Where it goes on with a share."""
    given: set[int]
    """Where it gives one back."""


def spread(
    code: dict[str, Function],
    takes: Callable[[Function], set[int]],
    gives: Callable[[Function], set[int]],
) -> dict[str, Moves]:
    """Where each function takes and gives, itself or by others that it calls.

    :param takes: where a function goes on with a share that it took itself
    :param gives: where it gives one back itself
    """
    known = {name: Moves(one, takes(one), gives(one)) for name, one in code.items()}
    for _ in range(_DEEPEST):
        givers = {one.function.start for one in known.values() if one.given and not one.taken}
        takers = {
            one.function.start: not _returns_without(one)
            for one in known.values()
            if one.taken and not one.given
        }
        for function, taken, given in known.values():
            calls = [(row, direct_target(row)) for row in function.code.values() if _leads(row)]
            given.update(one.address for one, at in calls if at in givers - {function.start})
            for row, target in calls:
                if target in takers and target != function.start and row.mnemonic == "call":
                    taken.update(_behind(function, row, given, sure=takers[target]))
    return known


def keeping(known: dict[str, Moves]) -> Iterable[tuple[str, Function, Kept]]:
    """The functions that can return with a share which they give back on another way."""
    for name, (function, taken, given) in known.items():
        way = kept(function, taken, given) if taken else None
        if way is not None:
            yield name, function, way


def _leads(row: Instruction) -> bool:
    return row.mnemonic in ("call", "jmp")


def _returns_without(moves: Moves) -> bool:
    """Whether it can return without having taken any."""
    function = moves.function
    reached = reached_from(function, function.start, moves.taken) - moves.taken
    return any(function.code[at].mnemonic == "ret" for at in reached)


def _behind(function: Function, call: Instruction, given: set[int], *, sure: bool) -> set[int]:
    """Where it goes on with a share behind a call of one that takes it, if it can.

    Who gives none back behind a jump on its result had not got one there.
    """
    at = call.end
    for _ in range(0 if sure else _NEAR):
        row = function.code.get(at)
        if row is None or _leads(row) or row.mnemonic == "ret":
            break
        if row.mnemonic[0] == "j":
            ways = function.ways(row)
            having = {way for way in ways if reached_from(function, way, {call.address}) & given}
            return having or set(ways)
        at = row.end
    return {call.end}

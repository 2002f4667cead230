"""Functions that set a count of parts, and hand out fewer of them. x86-64.

``atomic_set(&io->pending, LEGS); for (...) { if (leg->failed) continue; queue_work(...); }``: who
is handed a part takes the count down, and the last one ends the whole. What is skipped is not
counted down by anybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from oopsight.kernel.code_locks import Function
from oopsight.kernel.loop_ends import came_from, carries, inner_loop
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    accessed_size,
    memory_place,
    stored_number,
    stores,
)

_COUNT_SIZES = (4, 8)
_MOST_PARTS = 64


def skipped(
    function: Function, count: Expression, hands_on: Callable[[Instruction], bool]
) -> int | None:
    """Where a function that sets a count goes on without a part of it; ``None`` if it does not.

    :param count: where it is, as another function has it: its offset in its object, or a variable
    :param hands_on: whether a call gives a part to somebody, or takes the count down
    """
    changes = {at for at, row in function.code.items() if _changes(function, row, count)}
    gives = {at for at, row in function.code.items() if hands_on(row)}
    for at in sorted(changes):
        row = function.code[at]
        if row.mnemonic != "mov":
            continue
        number = stored_number(row, function.registers(at))
        after = _reached(function, function.ways(row), frozenset())
        met = gives & after
        if not met or number == 0 or (number is not None and number > _MOST_PARTS):
            continue
        where = _left_out(function, row, met, changes - {at}, number)
        if where is not None:
            return where
    return None


def _left_out(
    function: Function, row: Instruction, met: set[int], changes: set[int], number: int | None
) -> int | None:
    before = came_from(function)
    stops = frozenset(met | changes)
    looped = [(at, inner_loop(function, at, before)) for at in sorted(met)]
    for at, loop in looped:
        if loop and row.address not in loop:
            where = _skips(function, at, loop, stops) or _breaks_off(function, loop, stops, before)
            if where is not None:
                return where
    if number is None or any(loop for _, loop in looped):
        return None
    return _fewer(function, row, stops, number)


def _changes(function: Function, row: Instruction, count: Expression) -> bool:
    """Whether it changes the count, in some object."""
    if not stores(row) or accessed_size(row) not in _COUNT_SIZES:
        return False
    place = memory_place(row, function.registers(row.address))
    if place is None or place.base == FRAME:
        return False
    return place.offset == count.offset and bool(place.base) == bool(count.base)


def _skips(
    function: Function, given: int, loop: frozenset[int], stops: frozenset[int]
) -> int | None:
    """The jump within a loop that leads round past where a part is given."""
    for at in sorted(loop):
        ways = [there for there in function.ways(function.code[at]) if there in loop]
        if len(ways) < 2:
            continue
        for there in ways:
            round_ = _reached(function, [there], stops | {at}, loop)
            other = _reached(function, [w for w in ways if w != there], stops - {given}, loop)
            if at in round_ and given not in round_ and given in other:
                return at
    return None


def _breaks_off(
    function: Function,
    loop: frozenset[int],
    stops: frozenset[int],
    before: dict[int, list[int]],
) -> int | None:
    """The jump out of a loop, for another reason than its count, that leads to the end."""
    for at in sorted(loop):
        out = [there for there in function.ways(function.code[at]) if there not in loop]
        inside = len(out) < len(function.ways(function.code[at]))
        if not out or not inside or carries(function, at, loop, before):
            continue
        reached = _reached(function, out, stops)
        if any(_ends(function, one) for one in reached - stops):
            return at
    return None


def _fewer(function: Function, row: Instruction, stops: frozenset[int], number: int) -> int | None:
    """The end of a way on which fewer parts are given than were counted, as are on another."""
    least = _given(function, row, stops, number, lambda new, old: new < old)
    most = _given(function, row, stops, number, lambda new, old: new > old)
    if max(most.values(), default=0) < number:
        return None
    fewest = min(((count, at) for at, count in least.items()), default=(number, 0))
    return fewest[1] if fewest[0] < number else None


def _given(
    function: Function,
    row: Instruction,
    stops: frozenset[int],
    number: int,
    better: Callable[[int, int], bool],
) -> dict[int, int]:
    """How many parts have been given at each end, by the best way there; not above the number."""
    known = dict.fromkeys(function.ways(row), 0)
    waiting = deque(known)
    while waiting:
        at = waiting.popleft()
        count = min(known[at] + (at in stops), number)
        for there in function.ways(function.code[at]) if at in function.code else ():
            if there not in known or better(count, known[there]):
                known[there] = count
                waiting.append(there)
    ends = (at for at in known if at in function.code and _ends(function, at))
    return {at: min(known[at] + (at in stops), number) for at in ends}


def _ends(function: Function, at: int) -> bool:
    row = function.code[at]
    return row.mnemonic in ("ret", "jmp") and not function.ways(row)


def _reached(
    function: Function,
    begin: Iterable[int],
    stops: frozenset[int],
    within: frozenset[int] | None = None,
) -> set[int]:
    """Where the code comes to, not past the stops."""
    seen: set[int] = set()
    waiting = list(begin)
    while waiting:
        at = waiting.pop()
        if at in seen or at not in function.code or (within is not None and at not in within):
            continue
        seen.add(at)
        if at not in stops:
            waiting += function.ways(function.code[at])
    return seen

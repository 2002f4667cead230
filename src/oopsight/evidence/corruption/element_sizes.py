"""Functions that reckon with less for each element of a table than the table's users take.

``krealloc(points, room * sizeof(points), …)`` for a table of larger elements: the number that is
multiplied is in the code, and so is how far one element is from the next where they are used. Who
reckons at all is told as well.

Not a fact by itself: :mod:`~oopsight.evidence.corruption.small_allocations` asks it, and for the
last :mod:`~oopsight.evidence.corruption.writer_limits`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence.corruption.index_limits import operand_sum, sum_of
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import slot_of
from oopsight.evidence.flow.instructions import Instruction, whole_register
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.known_calls import SIZED
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates_by_size
from oopsight.plumbing import base_name

_DEEPEST = 2
"""Functions that hand on the size, or what was allocated."""
_WORD = 8
_LEAST = 2
_BELOW = {
    **dict.fromkeys(("jb", "jae", "jl", "jge"), True),
    **dict.fromkeys(("ja", "jbe", "jg", "jle"), False),
}
"""Jumps that tell a count from its limit, and whether the count is compared with that."""
_LARGEST = 1 << 12
_MASK = (1 << 64) - 1
_FOR_ONE_CALLER = ".constprop"
"""In the name of a function that the compiler has put a caller's numbers into."""


@dataclass(frozen=True)
class Elements:
    """A function that has a table allocated, and what it reckons with."""

    function: str
    reckoned: int
    """Bytes for each element."""
    taken: int
    """By those that use them, at least."""
    user: str
    """One of these."""


def too_small(
    calls: Calls, inner: dict[int, ModuleFunction], uses: dict[str, FieldUse]
) -> Iterator[Elements]:
    """Tables of a module that all who come to their elements take for one of larger ones.

    :param inner: the module's functions, by where they begin
    :param uses: what they do with fields, by their names
    """
    strides = _strides(calls, inner)
    for name, kept_by, unit in _units(calls, inner, uses):
        for key in _kept_at(kept_by, name, uses):
            taken = strides.get(key, {})
            if taken and min(taken) > unit:
                least = min(taken)
                yield Elements(kept_by, unit, least, taken[least])


def _units(
    calls: Calls, inner: dict[int, ModuleFunction], uses: dict[str, FieldUse]
) -> Iterator[tuple[str, str, int]]:
    """Whose result is a table, who keeps that, and what was reckoned with for each element."""
    for begin, one in inner.items():
        code = calls.function(begin)
        for at, register in _allocations(calls, code) if code is not None else ():
            for who, unit in _of(calls, code, at, register, inner) if code is not None else ():
                known = calls.reader.function(code.instructions[at].target or 0) if code else None
                own = base_name(one.name)
                called = (known[0] if known is not None else "").removesuffix("_noprof")
                if _FOR_ONE_CALLER not in one.name:
                    yield called, own, unit
                # A helper that only allocates has its caller keep it.
                for other in uses if not _kept_at(own, called, uses) else ():
                    if _kept_at(other, own, uses):
                        yield own, who if who != own else other, unit


def _allocations(calls: Calls, code: Function) -> Iterator[tuple[int, str]]:
    """Calls of, and jumps to, functions that allocate, and the register with the size."""
    for at, row in enumerate(code.instructions):
        known = calls.reader.function(row.target) if row.target is not None else None
        if known is not None and known[1] == row.target and (row.is_call or row.is_jump):
            register = SIZED.get(known[0].removesuffix("_noprof"))
            if register is not None:
                yield at, register


def _of(
    calls: Calls,
    code: Function,
    at: int,
    register: str,
    inner: dict[int, ModuleFunction],
    deep: int = _DEEPEST,
) -> Iterator[tuple[str, int]]:
    """By what a size was multiplied, and in which function."""
    given = operand_sum(calls, code, register, at)
    if given is None or len(given[1]) != 1:
        return
    ((root, factor),) = given[1].items()
    if _LEAST <= factor <= _LARGEST:
        yield base_name(code.name), factor
    elif factor == 1 and root[0] == "entered" and deep:
        for begin in inner:
            other = calls.function(begin)
            for site, row in enumerate(other.instructions if other is not None else ()):
                if other is not None and row.target == code.start and row.is_call:
                    yield from _of(calls, other, site, str(root[1]), inner, deep - 1)


def _kept_at(function: str, called: str, uses: dict[str, FieldUse]) -> set[int]:
    """The fields in which a function stores what a call returned."""
    use = uses.get(function)
    names = {called, f"{called}_noprof"}
    stores = use.stores if use is not None else ()
    return {one.key for one in stores if one.called is not None and base_name(one.called) in names}


def _strides(calls: Calls, inner: dict[int, ModuleFunction]) -> dict[int, dict[int, str]]:
    """By the key of the pointer to a table, how far its elements are apart, and for whom."""
    found: dict[int, dict[int, str]] = {}
    for begin in inner:
        code = calls.function(begin)
        for at, row in enumerate(code.instructions if code is not None else ()):
            for operand in row.operands if row.mnemonic != "nop" else ():
                memory = operand.memory
                if code is None or memory is None or memory.segment or slot_of(code, at, memory):
                    continue
                place = sum_of(calls, code, memory, at)
                for key, stride in _table(code, place[1]) if place is not None else ():
                    found.setdefault(key, {})[stride] = base_name(code.name)
    return found


def _table(code: Function, terms: dict[tuple[str, object], int]) -> Iterator[tuple[int, int]]:
    """The key of a table's pointer that a place is computed of, and what the index is scaled by."""
    for root, factor in terms.items():
        others = [other for one, other in terms.items() if one != root]
        if factor != 1 or root[0] != "load" or len(others) != 1 or others[0] < _LEAST:
            continue
        row = code.instructions[int(str(root[1]))]
        memory = next((one.memory for one in row.operands if one.memory is not None), None)
        if memory is not None and memory.size == _WORD and memory.index is None:
            begin = row.end if memory.base == "rip" else 0
            yield (memory.displacement + begin) & _MASK, others[0]


def computes_size(calls: Calls, one: ModuleFunction) -> bool:
    """Whether it allocates memory of a size that is no number in its code, nor one of several."""
    if not any(map(allocates_by_size, one.outside)):
        return False
    code = calls.function(one.start)
    sizes = [
        operand_sum(calls, code, "rdi", at)
        for at, row in enumerate(code.instructions if code is not None else ())
        for known in [calls.reader.function(row.target) if row.target is not None else None]
        if code is not None and known is not None and allocates_by_size(known[0])
    ]
    return not sizes or any(size is None or bool(size[1]) for size in sizes)


def counts_to_memory(code: Function) -> bool:
    """Whether a function keeps a count in memory, and lets it come up to another number there.

    Whatever else it is told, it goes no further than that.
    """
    rows = code.instructions
    changed = {at for row in rows for at in _fields(row, written=True)}
    for row, following in itertools.pairwise(rows):
        below = _BELOW.get(following.mnemonic) if row.mnemonic == "cmp" else None
        if below is None or len(row.operands) != 2:
            continue
        count, limit = row.operands if below else row.operands[::-1]
        name = whole_register(count.register or "")
        if limit.memory is None or name is None or not changed.isdisjoint(_fields(row)):
            continue
        kept = (other for other in rows if name in other.written)
        if any(not changed.isdisjoint(_fields(other)) for other in kept):
            return True
    return False


def _fields(row: Instruction, *, written: bool = False) -> Iterator[tuple[str | None, int]]:
    """What an instruction reads or writes of objects: the register that leads there, how far."""
    for one in row.operands:
        memory = one.memory if one.writes is written else None
        if memory is not None and memory.base != "rsp" and memory.index is None:
            yield memory.base, memory.displacement

"""Whether a function can have stored the number that was found in a field, by its code alone.

A store of another constant cannot; nor can one of a number that the function, or those that hand it
over, let pass only if it is another. Each store is followed back to where its number came from, and
from the function's entry forward again, past what that number itself decides.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from oopsight.evidence.address import error_number
from oopsight.evidence.corruption.index_limits import Root, Sum, operand_of, operand_sum
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import (
    Constant,
    Copy,
    Effect,
    Either,
    Load,
    Operation,
    Place,
    Returned,
    Slot,
    signed,
    slot_of,
)
from oopsight.evidence.flow.instructions import Instruction, Memory, Operand, whole_register

_MASK = (1 << 64) - 1
_MOST_STEPS = 16
_DEEPEST = 2
"""Callers of callers."""
_ENDBR = 4  # a direct call may skip the landing pad of indirect ones
_LARGEST_VARIABLE = 64
_WRAPPED = "wrapped"
_FIELD: Root = ("field", 0)
_COUNTS = {"inc": 1, "add": 1, "dec": -1, "sub": -1}
_NO_FLAGS = ("mov", "lea", "push", "pop", "nop", "set", "cmov", "j")


class Ability(enum.IntEnum):
    """How a function can have stored a number, the most suspect first."""

    ERROR = 0
    """It stores what a call returned, which is the code of an error."""
    UNCHECKED = 1
    """It stores what it was told, or has computed, and lets this number pass."""
    COUNTS = 2
    """It counts in what is there."""
    SETS = 3
    """This very number stands in its code: it is there on purpose."""
    MOVES = 4
    """It puts in place what the same field of another object had."""
    UNABLE = 5
    """All that it stores there is other numbers."""


class Number(NamedTuple):
    """What was found."""

    key: int
    """Of the field, as a function has it."""
    value: int
    size: int
    """In bytes."""


class _Source(NamedTuple):
    """One of the numbers that may be stored, and what it must have been."""

    root: Root
    number: int
    decided: tuple[tuple[int, str, bool], ...] = ()
    """Comparisons, conditions, and whether they must have held."""


class AbleWriters:
    """Asks about the functions of one module."""

    def __init__(self, calls: Calls, starts: Iterable[int]) -> None:
        """Ask about a module.

        :param starts: where its functions begin
        """
        self._calls = calls
        self._starts = tuple(starts)
        self._found_sites: dict[int, list[tuple[Function, int]]] | None = None

    def ability(self, start: int, number: Number) -> Ability:
        """How the function that begins at an address can have stored a number.

        One whose stores are not seen may have done so.
        """
        code = self._calls.function(start)
        sites = list(_stores(code, number)) if code is not None else []
        if code is None or not sites:
            return Ability.UNCHECKED
        return min(self._of_store(code, at, number) for at in sites)

    def _of_store(self, code: Function, at: int, number: Number) -> Ability:
        row = code.instructions[at]
        values = {number.value, signed(number.value, 8 * number.size) & _MASK}
        if row.mnemonic != "mov":
            if row.mnemonic in _COUNTS and not self._counted(code, at, number, values):
                return Ability.UNABLE
            return Ability.COUNTS
        memory, source = row.operands[0].memory, row.operands[1]
        if memory is None or memory.size != number.size:
            return _of_wide(row, number)
        found: list[Ability] = []
        for value in values:
            sources = _sources(self._calls, code, _taken(source), at, value, number, _MOST_STEPS)
            found += [
                _kind(one, number)
                for one in sources
                if self._reached(code, at, one, number, _DEEPEST)
            ]
        return min(found, default=Ability.UNABLE)

    def _counted(self, code: Function, at: int, number: Number, values: Collection[int]) -> bool:
        """Whether a count in place by a constant can have led there."""
        row = code.instructions[at]
        by = row.operands[1].immediate if len(row.operands) > 1 else 1
        if by is None:
            other = operand_of(self._calls, code, at, 1)
            root = _single(other)
            wrapped = row.mnemonic == "sub" and root is not None and _is_below_zero(number)
            one = _Source((_WRAPPED, (_FIELD, root)), number.value)
            return not wrapped or self._reached(code, at, one, number, 0)
        far = _COUNTS[row.mnemonic] * by
        before = (_Source(_FIELD, (value - far) & _MASK) for value in values)
        return any(self._reached(code, at, one, number, 0) for one in before)

    def _reached(self, code: Function, at: int, source: _Source, number: Number, deep: int) -> bool:
        """Whether a place can be reached where what is stored there is a number."""
        for compared, condition, held in source.decided:
            told = self._decides(code, compared, condition, source, number)
            if told is not None and told != held:
                return False
        if not self._leads(code, at, source, number):
            return False
        if source.root[0] != "entered" or not deep:
            return True
        sites = self._sites.get(code.start, [])
        register = str(source.root[1])
        return not sites or any(
            self._reached(other, site, one, number, deep - 1)
            for other, site in sites
            for one in _sources(
                self._calls, other, Copy(register), site, source.number, number, _MOST_STEPS
            )
        )

    @property
    def _sites(self) -> dict[int, list[tuple[Function, int]]]:
        """By where a function begins, the calls of it from the module's others."""
        if self._found_sites is None:
            self._found_sites = {}
            starts = {one + skipped: one for one in self._starts for skipped in (0, _ENDBR)}
            for begin in self._starts:
                code = self._calls.function(begin)
                for at, row in enumerate(code.instructions if code is not None else ()):
                    target = starts.get(row.target) if row.target is not None else None
                    if code is not None and target is not None and target != begin:
                        self._found_sites.setdefault(target, []).append((code, at))
        return self._found_sites

    def _leads(self, code: Function, to: int, source: _Source, number: Number) -> bool:
        """Whether a way leads from the entry to a place past what a number decides."""
        seen, waiting = set(), [0]
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            if at == to:
                return True
            waiting += self._onwards(code, at, source, number)
        return False

    def _onwards(self, code: Function, at: int, source: _Source, number: Number) -> tuple[int, ...]:
        row, ways = code.instructions[at], code.after[at]
        if not row.is_jump or row.mnemonic == "jmp" or len(ways) < 2:
            return ways
        compared = _compared_before(code, at)
        told = None
        if compared is not None:
            told = self._decides(code, compared, row.mnemonic[1:], source, number)
        if told is None:
            return ways
        taken = code.index(row.target) if row.target is not None else None
        return tuple(way for way in ways if (way == taken) == told)

    def _decides(
        self, code: Function, at: int, condition: str, source: _Source, number: Number
    ) -> bool | None:
        """Whether a condition holds behind a comparison of a number with a constant."""
        row = code.instructions[at]
        if source.root[0] == _WRAPPED:
            return _decides_wrapped(self._calls, code, at, condition, source, number)
        sides = [_side(self._calls, code, at, place, source, number) for place in (0, 1)]
        if row.mnemonic not in ("cmp", "test") or None in sides:
            return None
        bits = 8 * row.operands[0].size
        first, second = (one & (1 << bits) - 1 for one in sides if one is not None)
        return _holds(condition, row.mnemonic, first, second, bits)


def _is_below_zero(number: Number) -> bool:
    """Whether a number looks like one that was taken from, and had not as much."""
    return bool(number.value >> 8 * number.size - 1)


def _single(side: Sum | None) -> Root | None:
    """What a number is, where nothing was added to it."""
    roots = list(side[1].items()) if side is not None and not side[0] else []
    return roots[0][0] if len(roots) == 1 and roots[0][1] == 1 else None


def _root_of(calls: Calls, code: Function, what: Effect, at: int, number: Number) -> Root | None:
    """What was taken, or taken from."""
    if isinstance(what, Copy) and isinstance(what.source, str) and not what.delta:
        return _known(code, _single(operand_sum(calls, code, what.source, at)), number)
    if isinstance(what, Load) and _is_field(code, at, what.memory, number):
        return _FIELD
    return None


def _known(code: Function, root: Root | None, number: Number) -> Root | None:
    """The same; the field for what was read from it."""
    if root is None or root[0] != "load" or not isinstance(root[1], int):
        return root
    read = next((one.memory for one in code.instructions[root[1]].operands if one.memory), None)
    return _FIELD if read is not None and _is_field(code, root[1], read, number) else root


def _decides_wrapped(
    calls: Calls, code: Function, at: int, condition: str, source: _Source, number: Number
) -> bool | None:
    """Whether a condition holds behind a comparison of what is less with what is taken from it."""
    row = code.instructions[at]
    sides: list[Root | None] = []
    for place, operand in enumerate(row.operands[:2]):
        memory = operand.memory
        if memory is not None and slot_of(code, at, memory) is None:
            sides.append(_FIELD if _is_field(code, at, memory, number) else None)
        else:
            sides.append(_known(code, _single(operand_of(calls, code, at, place)), number))
    if row.mnemonic != "cmp" or None in sides:
        return None
    orders = {tuple(sides): (0, 1), tuple(reversed(sides)): (1, 0)}
    found = orders.get(source.root[1]) if isinstance(source.root[1], tuple) else None
    return None if found is None else _holds(condition, "cmp", *found, 8 * number.size)


def _stores(code: Function, number: Number) -> Iterator[int]:
    """Where a function writes to the field."""
    for at, row in enumerate(code.instructions):
        memory = row.operands[0].memory if row.operands and row.operands[0].writes else None
        if memory is None or slot_of(code, at, memory) is not None or memory.base == "rsp":
            continue
        if -number.size < _distance(row, memory, number) < memory.size:
            yield at


def _distance(row: Instruction, memory: Memory, number: Number) -> int:
    """How far behind what an instruction accesses the field begins."""
    begin = memory.displacement + (row.end if memory.base == "rip" else 0)
    return signed((number.key - begin) & _MASK)


def _taken(operand: Operand) -> Effect:
    """What a store takes from a register, or has as a constant."""
    register = whole_register(operand.register or "")
    return Copy(register) if register is not None else Constant((operand.immediate or 0) & _MASK)


def _of_wide(row: Instruction, number: Number) -> Ability:
    """Of a store of more than the field, or of a part of it: only constants tell."""
    memory, what = row.operands[0].memory, row.operands[1].immediate
    if memory is None or what is None:
        return Ability.UNCHECKED
    distance = _distance(row, memory, number)
    part, whole = (what & _MASK) >> 8 * max(distance, 0), number.value >> 8 * max(-distance, 0)
    mask = (1 << 8 * min(number.size, memory.size)) - 1
    return Ability.SETS if (part ^ whole) & mask == 0 else Ability.UNABLE


def _sources(
    calls: Calls, code: Function, what: Effect, at: int, wanted: int, number: Number, left: int
) -> Iterator[_Source]:
    """Where a number can have come from, and what it was there; nothing where it cannot be."""
    mask = (1 << 8 * number.size) - 1
    wanted &= _MASK
    if isinstance(what, Constant):
        if (what.value - wanted) & mask == 0:
            yield _Source(("constant", at), wanted)
    elif isinstance(what, Copy):
        if what.bits < 8 * number.size and not what.signed and (wanted & mask) >> what.bits:
            return
        yield from _of_place(
            calls, code, what.source, at, (wanted - what.delta) & _MASK, number, left
        )
    elif isinstance(what, Load):
        same = _is_field(code, at, what.memory, number)
        yield _Source(_FIELD if same else ("load", at), wanted)
    elif isinstance(what, Returned):
        yield _Source(("returned", at), wanted)
    elif isinstance(what, Either):
        yield from _of_either(calls, code, what, at, wanted, number, left)
    elif isinstance(what, Operation) and len(what.inputs) == 2:
        yield from _of_operation(calls, code, what, at, wanted, number, left)
    else:
        yield _Source(("computed", at), wanted)


def _of_either(
    calls: Calls, code: Function, what: Either, at: int, wanted: int, number: Number, left: int
) -> Iterator[_Source]:
    """Of one of two numbers, with what must have been decided."""
    row = code.instructions[at]
    compared = _compared_before(code, at) if row.mnemonic.startswith("cmov") else None
    for taken, held in ((what.first, False), (what.second, True)):
        for one in _sources(calls, code, taken, at, wanted, number, left):
            if compared is None:
                yield one
            else:
                decided = (compared, row.mnemonic.removeprefix("cmov"), held)
                yield one._replace(decided=(*one.decided, decided))


def _of_operation(
    calls: Calls, code: Function, what: Operation, at: int, wanted: int, number: Number, left: int
) -> Iterator[_Source]:
    """Of a number that was computed of another and a constant."""
    first, second = what.inputs
    by = second.value if isinstance(second, Constant) else None
    if by is not None and what.name in ("add", "sub"):
        before = wanted - by if what.name == "add" else wanted + by
        yield from _sources(calls, code, first, at, before, number, left)
    elif what.name == "sub" and _is_below_zero(number):
        roots = tuple(_root_of(calls, code, one, at, number) for one in what.inputs)
        known = None not in roots
        yield _Source((_WRAPPED, roots) if known else ("computed", at), wanted)
    elif by is not None and what.name == "and" and wanted & ~by & (1 << 8 * number.size) - 1:
        return
    else:
        yield _Source(("computed", at), wanted)


def _of_place(
    calls: Calls, code: Function, place: Place, at: int, wanted: int, number: Number, left: int
) -> Iterator[_Source]:
    """Of what a register or a slot of the frame holds before an instruction."""
    found = calls.tracer.definitions(code, place, at)
    if isinstance(place, Slot) and (not found or _is_lent(code, place)):
        yield _Source(("slot", place.offset), wanted)
    elif not found or not left:
        yield _Source(("computed", at), wanted)
    else:
        for one in found:
            if one.effect is None:
                yield _Source(("entered", place), wanted)
            else:
                yield from _sources(calls, code, one.effect, one.index, wanted, number, left - 1)


def _is_lent(code: Function, slot: Slot) -> bool:
    """Whether others have the address of a slot of the frame, as those that read a text."""
    for at, row in enumerate(code.instructions):
        memory = row.operands[1].memory if row.mnemonic == "lea" else None
        begin = slot_of(code, at, memory) if memory is not None else None
        if begin is not None and 0 <= slot.offset - begin.offset < _LARGEST_VARIABLE:
            return True
    return False


def _is_field(code: Function, at: int, memory: Memory, number: Number) -> bool:
    """Whether an instruction reads the field."""
    row = code.instructions[at]
    # Of a variable the address is told already.
    begin = memory.displacement + (row.end if memory.base == "rip" else 0)
    return (begin - number.key) & _MASK == 0 and memory.size == number.size


def _side(
    calls: Calls, code: Function, at: int, place: int, source: _Source, number: Number
) -> int | None:
    """One side of a comparison, as a number: where that is a constant, or of what was stored."""
    operands = code.instructions[at].operands
    memory = operands[place].memory if place < len(operands) else None
    if memory is not None and slot_of(code, at, memory) is None:
        same = source.root == _FIELD and _is_field(code, at, memory, number)
        return source.number if same else None
    side = operand_of(calls, code, at, place) if place < len(operands) else None
    if side is None:
        return None
    if not side[1]:
        return side[0] & _MASK
    root = _known(code, next(iter(side[1])), number)
    if root == source.root and list(side[1].values()) == [1]:
        return (source.number + side[0]) & _MASK
    return None


def _compared_before(code: Function, at: int) -> int | None:
    """The comparison that set the flags for an instruction."""
    for _ in range(_MOST_STEPS):
        before = code.before[at]
        if len(before) != 1:
            return None
        (at,) = before
        row = code.instructions[at]
        if row.mnemonic in ("cmp", "test"):
            return at
        if row.is_call or not row.mnemonic.startswith(_NO_FLAGS):
            return None
    return None


def _holds(condition: str, name: str, first: int, second: int, bits: int) -> bool | None:
    """Whether a condition holds behind ``cmp`` or ``test`` of two numbers."""
    if name == "test":
        first, second = first & second, 0
    one, other = signed(first, bits), signed(second, bits)
    told = {
        "e": first == second,
        "b": first < second,
        "be": first <= second,
        "l": one < other,
        "le": one <= other,
        "s": signed(first - second, bits) < 0,
    }
    contrary = {"ne": "e", "ae": "b", "a": "be", "ge": "l", "g": "le", "ns": "s"}
    if condition in contrary:
        return not told[contrary[condition]]
    return told.get(condition)


def _kind(source: _Source, number: Number) -> Ability:
    """How suspect a store of a number from somewhere is."""
    code_of_error = error_number(signed(number.value, 8 * number.size) & _MASK)
    if source.root[0] == "returned" and code_of_error is not None:
        return Ability.ERROR
    if source.root[0] == "constant":
        return Ability.SETS
    if source.root == _FIELD:
        return Ability.COUNTS if source.number != number.value else Ability.MOVES
    return Ability.UNCHECKED

"""Whether a function can have stored the number that was found in a field, by its code alone.

A store of another constant cannot; nor can one of a number that the function, or those that hand it
over, let pass only if it is another. Each store is followed back to where its number came from, and
from the function's entry forward again, past what that number itself decides.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator

from oopsight.evidence.address import error_number
from oopsight.evidence.corruption.index_limits import Root, operand_of
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.checked_value import comparison_before
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import Copy, slot_of
from oopsight.evidence.flow.instructions import Instruction, Memory
from oopsight.evidence.modules.number_sources import (
    FIELD,
    MOST_STEPS,
    WRAPPED,
    Number,
    Source,
    is_below_zero,
    is_field,
    known,
    other_number,
    read_by,
    single,
    sources,
    taken,
)
from oopsight.kernel.addresses import signed

_MASK = (1 << 64) - 1
_POINTER = 8
_MOST_CODE = 3000
"""Instructions of a function that is followed."""
_DEEPEST = 2
"""Callers of callers."""
_ENDBR = 4  # a direct call may skip the landing pad of indirect ones
_COUNTS = {"inc": 1, "add": 1, "dec": -1, "sub": -1}


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


class AbleWriters:
    """Asks about the functions of one module."""

    def __init__(self, calls: Calls, starts: Iterable[int]) -> None:
        """Ask about a module.

        :param starts: where its functions begin
        """
        self._calls = calls
        self._starts = tuple(starts)
        self._found_sites: dict[int, list[tuple[Function, int]]] | None = None

    def _function(self, start: int) -> Function | None:
        """Its code; none of what would take too long to follow."""
        code = self._calls.function(start)
        return code if code is not None and len(code.instructions) <= _MOST_CODE else None

    def ability(self, start: int, number: Number) -> Ability:
        """How the function that begins at an address can have stored a number.

        One whose stores are not seen may have done so.
        """
        code = self._function(start)
        sites = list(_stores(code, number)) if code is not None else []
        if code is None or not sites:
            return Ability.UNCHECKED
        return min(self._of_store(code, at, number) for at in sites)

    def leaves(self, start: int, number: Number) -> bool:
        """Whether a function sets a number of its code's on the way, and leaves it on some ways.

        On others it sets another one after that, as where it has come to the end.
        """
        code = self._function(start)
        sites = list(_stores(code, number)) if code is not None else []
        if code is None:
            return False
        able = {at: self._of_store(code, at, number) for at in sites}
        return any(
            self._left(code, at, {other for other in sites if able[other] is Ability.UNABLE})
            for at in sites
            if able[at] is Ability.SETS
        )

    def raises_in_vain(self, start: int, number: Number) -> bool:
        """Whether a function counts the field up, and stores nothing more on some ways only."""
        code = self._function(start)
        if code is None:
            return False
        others = set(_pointers_stored(code)) | set(_stores(code, number))
        return any(self._left(code, at, others - {at}) for at in _raises(self._calls, code, number))

    def _left(self, code: Function, at: int, others: set[int]) -> bool:
        """Whether some ways on from a store come by one of others, and some end without."""
        seen, waiting, met, ended = {at}, list(code.after[at]), False, False
        while waiting:
            here = waiting.pop()
            met = met or here in others
            if here in seen or here in others:
                continue
            seen.add(here)
            ended = ended or self._ends(code, here)
            waiting += code.after[here]
        return met and ended

    def _ends(self, code: Function, at: int) -> bool:
        """Whether the function returns there."""
        row = code.instructions[at]
        if row.mnemonic != "jmp" or code.after[at]:
            return row.mnemonic == "ret"
        known = self._calls.reader.function(row.target) if row.target is not None else None
        return known is not None and "return_thunk" in known[0]

    def asks(self, start: int, number: Number) -> bool:
        """Whether a function compares the field with zero."""
        code = self._function(start)
        zero = Source(FIELD, 0)
        for at, row in enumerate(code.instructions if code is not None else ()):
            if code is not None and row.mnemonic in ("cmp", "test") and len(row.operands) == 2:
                sides = [_side(self._calls, code, at, place, zero, number) for place in (0, 1)]
                same = row.operands[0] == row.operands[1]
                reads = any(_is_of(self._calls, code, at, place, number) for place in (0, 1))
                if reads and None not in sides and (row.mnemonic == "cmp" or same):
                    return sides == [0, 0]
        return False

    def looks(self, start: int, number: Number) -> bool:
        """Whether a function reads one of the numbers that have to agree with the field."""
        code = self._function(start)
        return code is not None and any(
            operand.reads and operand.memory is not None
            for at, row in enumerate(code.instructions)
            for operand in row.operands
            if operand.memory is not None
            and other_number(code, at, operand.memory, number) is not None
        )

    def _of_store(self, code: Function, at: int, number: Number) -> Ability:
        row = code.instructions[at]
        values = {number.value, signed(number.value, 8 * number.size) & _MASK}
        if row.mnemonic in ("and", "or") and row.operands[1].immediate is not None:
            return _of_bits(row, number)
        if row.mnemonic != "mov":
            if row.mnemonic in _COUNTS and not self._counted(code, at, number, values):
                return Ability.UNABLE
            return Ability.COUNTS
        memory, source = row.operands[0].memory, row.operands[1]
        if memory is None or memory.size != number.size:
            return _of_wide(row, number)
        found: list[Ability] = []
        for value in values:
            before = sources(self._calls, code, taken(source), at, value, number, MOST_STEPS)
            found += [
                _kind(one, number)
                for one in before
                if self._reached(code, at, one, number, _DEEPEST)
            ]
        return min(found, default=Ability.UNABLE)

    def _counted(self, code: Function, at: int, number: Number, values: Collection[int]) -> bool:
        """Whether a count in place by a constant can have led there."""
        row = code.instructions[at]
        by = row.operands[1].immediate if len(row.operands) > 1 else 1
        if by is None:
            other = operand_of(self._calls, code, at, 1)
            root = single(other)
            wrapped = row.mnemonic == "sub" and root is not None and is_below_zero(number)
            one = Source((WRAPPED, (FIELD, root)), number.value)
            return not wrapped or self._reached(code, at, one, number, 0)
        far = _COUNTS[row.mnemonic] * by
        before = (Source(FIELD, (value - far) & _MASK) for value in values)
        return not _wraps(number, far) and any(
            self._reached(code, at, one, number, 0) for one in before
        )

    def _reached(self, code: Function, at: int, source: Source, number: Number, deep: int) -> bool:
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
            for one in sources(
                self._calls, other, Copy(register), site, source.number, number, MOST_STEPS
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

    def _leads(self, code: Function, to: int, source: Source, number: Number) -> bool:
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

    def _onwards(self, code: Function, at: int, source: Source, number: Number) -> tuple[int, ...]:
        row, ways = code.instructions[at], code.after[at]
        if not row.is_jump or row.mnemonic == "jmp" or len(ways) < 2:
            return ways
        compared = comparison_before(code, at)
        told = None
        if compared is not None:
            told = self._decides(code, compared, row.mnemonic[1:], source, number)
        if told is None:
            return ways
        taken = code.index(row.target) if row.target is not None else None
        return tuple(way for way in ways if (way == taken) == told)

    def _decides(
        self, code: Function, at: int, condition: str, source: Source, number: Number
    ) -> bool | None:
        """Whether a condition holds behind a comparison of a number with a constant."""
        row = code.instructions[at]
        if source.root[0] == WRAPPED:
            return _decides_wrapped(self._calls, code, at, condition, source, number)
        sides = [_side(self._calls, code, at, place, source, number) for place in (0, 1)]
        if row.mnemonic not in ("cmp", "test") or None in sides:
            return None
        bits = 8 * row.operands[0].size
        first, second = (one & (1 << bits) - 1 for one in sides if one is not None)
        return _holds(condition, row.mnemonic, first, second, bits)


def _is_of(calls: Calls, code: Function, at: int, place: int, number: Number) -> bool:
    """Whether an operand is what was read from the field."""
    memory = code.instructions[at].operands[place].memory
    if memory is not None and slot_of(code, at, memory) is None:
        return is_field(code, at, memory, number)
    return known(code, single(operand_of(calls, code, at, place)), number) == FIELD


def _decides_wrapped(
    calls: Calls, code: Function, at: int, condition: str, source: Source, number: Number
) -> bool | None:
    """Whether a condition holds behind a comparison of what is less with what is taken from it."""
    row = code.instructions[at]
    sides: list[Root | None] = []
    for place, operand in enumerate(row.operands[:2]):
        memory = operand.memory
        if memory is not None and slot_of(code, at, memory) is None:
            sides.append(FIELD if is_field(code, at, memory, number) else None)
        else:
            sides.append(known(code, single(operand_of(calls, code, at, place)), number))
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


def _raises(calls: Calls, code: Function, number: Number) -> Iterator[int]:
    """Where a function counts the field up by one."""
    before = (number.value - 1) & _MASK
    for at in _stores(code, number):
        row = code.instructions[at]
        by = row.operands[1].immediate if len(row.operands) > 1 else 1
        if row.mnemonic in ("inc", "add") and by == 1:
            yield at
        elif row.mnemonic == "mov" and row.operands[0].size == number.size:
            came = sources(
                calls, code, taken(row.operands[1]), at, number.value, number, MOST_STEPS
            )
            if any((one.root, one.number) == (FIELD, before) for one in came):
                yield at


def _pointers_stored(code: Function) -> Iterator[int]:
    """Where a function stores eight bytes elsewhere than in its frame."""
    for at, row in enumerate(code.instructions):
        memory = row.operands[0].memory if row.mnemonic == "mov" and row.operands else None
        wide = memory is not None and memory.size == _POINTER and memory.base != "rsp"
        if memory is not None and wide and slot_of(code, at, memory) is None:
            yield at


def _distance(row: Instruction, memory: Memory, number: Number) -> int:
    """How far behind what an instruction accesses the field begins."""
    begin = memory.displacement + (row.end if memory.base == "rip" else 0)
    return signed((number.key - begin) & _MASK)


def _wraps(number: Number, far: int) -> bool:
    """Whether only a number that has run over could have been counted there from."""
    whole = 1 << 8 * number.size
    before = number.value - far
    return not 0 <= before < whole and not (far < 0 and is_below_zero(number))


def _of_bits(row: Instruction, number: Number) -> Ability:
    """Of bits that are set or cleared in place, by a constant."""
    mask = (1 << 8 * number.size) - 1
    bits = (row.operands[1].immediate or 0) & mask
    if row.mnemonic == "or":
        return Ability.SETS if bits & number.value == bits else Ability.UNABLE
    # What only clears bits has set none.
    return Ability.UNABLE if number.value else Ability.SETS


def _of_wide(row: Instruction, number: Number) -> Ability:
    """Of a store of more than the field, or of a part of it: only constants tell."""
    memory, what = row.operands[0].memory, row.operands[1].immediate
    if memory is None or what is None:
        # What is wider is most often a pointer in an object of another kind.
        wider = memory is not None and memory.size > number.size
        return Ability.MOVES if wider else Ability.UNCHECKED
    distance = _distance(row, memory, number)
    part, whole = (what & _MASK) >> 8 * max(distance, 0), number.value >> 8 * max(-distance, 0)
    mask = (1 << 8 * min(number.size, memory.size)) - 1
    return Ability.SETS if (part ^ whole) & mask == 0 else Ability.UNABLE


def _side(
    calls: Calls, code: Function, at: int, place: int, source: Source, number: Number
) -> int | None:
    """One side of a comparison, as a number: where that is a constant, or of what was stored."""
    operands = code.instructions[at].operands
    memory = operands[place].memory if place < len(operands) else None
    if memory is not None and slot_of(code, at, memory) is None:
        same = source.root == FIELD and is_field(code, at, memory, number)
        return source.number if same else other_number(code, at, memory, number)
    side = operand_of(calls, code, at, place) if place < len(operands) else None
    if side is None:
        return None
    if not side[1]:
        return side[0] & _MASK
    root = known(code, next(iter(side[1])), number)
    read = read_by(code, root)
    other = None if read is None else other_number(code, *read, number)
    if other is not None and list(side[1].values()) == [1]:
        return (other + side[0]) & _MASK
    if root == source.root and list(side[1].values()) == [1]:
        return (source.number + side[0]) & _MASK
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


def _kind(source: Source, number: Number) -> Ability:
    """How suspect a store of a number from somewhere is."""
    code_of_error = error_number(signed(number.value, 8 * number.size) & _MASK)
    if source.root[0] == "returned" and code_of_error is not None:
        return Ability.ERROR
    if source.root[0] == "constant":
        return Ability.SETS
    if source.root == FIELD:
        return Ability.COUNTS if source.number != number.value else Ability.MOVES
    return Ability.UNCHECKED

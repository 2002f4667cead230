"""Bits and numbers that drivers use as locks of their own, and ways that keep one. x86-64.

``while (test_and_set_bit(BUSY, &chip->flags)) wait;`` and ``clear_bit(BUSY, &chip->flags)``: who
has set the bit has the chip. A number that ``cmpxchg()`` or ``xchg()`` puts in place of zero is
used so as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from oopsight.kernel.branches import SECOND_BYTES
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE, MEMORY, register_name
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    accessed_size,
    memory_place,
    register_of,
    stored_number,
    stores,
)

_NEAR = 6
"""Instructions from one that claims to the jump that it decides."""
_CLEAR = {"jae": True, "jnc": True, "jb": False, "jc": False}
"""Jumps behind a ``bts``: whether they are taken if the bit was clear."""
_ZERO = {"je": True, "jz": True, "jne": False, "jnz": False}
_LOADS = ("mov", "movzx")
_SET_IF_CLEAR = {"setae": True, "setb": False, "sete": True, "setne": False}


class Claimed(NamedTuple):
    """The bits that mean that somebody has it."""

    place: Expression
    """Of the byte with the lowest of them."""
    mask: int
    """In that byte; -1 for the whole number that begins there."""

    def may_be(self, other: Claimed) -> bool:
        """Whether another function means the same, if it has the same object."""
        same = bool(self.place.base) == bool(other.place.base)
        near = self.place.offset == other.place.offset
        return same and near and (-1 in (self.mask, other.mask) or bool(self.mask & other.mask))


class Claim(NamedTuple):
    """An instruction that claims something that is free."""

    at: int
    what: Claimed
    got: frozenset[int]
    """Where the code goes on with it."""


class Kept(NamedTuple):
    """A way on which what was claimed is kept."""

    taken: int
    returns: int


def claims(function: Function) -> Iterator[Claim]:
    """Where a function claims something."""
    for at, row in function.code.items():
        what = _claimed(function, row)
        if what is not None:
            got = _got(function, row)
            if got:
                yield Claim(at, what, frozenset(got))


def looked_for(function: Function, loop: Iterable[int]) -> Iterator[Claimed]:
    """The bits that a loop looks at, each by itself, and does not set.

    :param loop: addresses of its instructions
    """
    for at in loop:
        row = function.code[at]
        place, operands = _byte(function, row), row.operands
        if place is None or len(operands) != 2 or stores(row):
            continue
        mask = _mask(row)
        following = function.code.get(row.end)
        if row.mnemonic in _LOADS and following is not None and following.mnemonic == "test":
            mask = _mask(following) if set(following.read) & set(row.written) else None
            if mask is not None and register_name(following.operands[0].reg) in SECOND_BYTES:
                mask <<= 8
        if mask is not None and mask & (mask - 1) == 0:
            number = mask.bit_length() - 1
            yield Claimed(place.plus(number // 8), 1 << number % 8)


def _mask(row: Instruction) -> int | None:
    """The bits that an instruction tests, by a number in the code."""
    last = row.operands[-1] if row.operands else None
    if last is None or last.type != IMMEDIATE or row.mnemonic not in ("test", "bt"):
        return None
    number = int(last.imm)
    return number if row.mnemonic == "test" and number > 0 else 1 << number if number >= 0 else None


def sets(function: Function, what: Claimed) -> set[int]:
    """Where a function goes on once it has set a bit, if it was set or not."""
    found: set[int] = set()
    for row in function.code.values():
        place = _byte(function, row) if stores(row) or row.mnemonic == "bts" else None
        last = row.operands[-1] if row.operands else None
        if place is None or last is None or last.type != IMMEDIATE:
            continue
        number = int(last.imm)
        if row.mnemonic == "or" and number > 0 and number & (number - 1) == 0:
            number = number.bit_length() - 1
        elif row.mnemonic != "bts":
            continue
        if what.may_be(Claimed(place.plus(number // 8), 1 << number % 8)):
            found.add(row.end)
    return found


def frees(function: Function, what: Claimed) -> set[int]:
    """Where a function makes free what is claimed."""
    return {
        at
        for at, row in function.code.items()
        if (freed := _freed(function, row)) is not None and freed.may_be(what)
    }


def kept(function: Function, taken: Iterable[int], given: set[int]) -> Kept | None:
    """A way that returns with it, where another makes it free.

    :param taken: where the code goes on that has it
    :param given: where it is made free
    """
    for begin in sorted(taken):
        reached = reached_from(function, begin, given)
        returns = [at for at in sorted(reached - given) if _returns(function, at)]
        if returns and reached & given:
            return Kept(begin, returns[0])
    return None


def always_keeps(function: Function, taken: Iterable[int], given: set[int]) -> bool:
    """Whether a function returns with it on all ways on which it has claimed it."""
    return not given and any(
        _returns(function, at) for begin in taken for at in reached_from(function, begin, set())
    )


def reached_from(function: Function, begin: int, stops: set[int]) -> set[int]:
    """Where the code comes to, not past the stops."""
    seen: set[int] = set()
    waiting = [begin]
    while waiting:
        at = waiting.pop()
        if at in seen or at not in function.code:
            continue
        seen.add(at)
        if at not in stops:
            waiting += function.ways(function.code[at])
    return seen


def _returns(function: Function, at: int) -> bool:
    row = function.code[at]
    return row.mnemonic == "ret" or (row.mnemonic == "jmp" and not function.ways(row))


def _byte(function: Function, row: Instruction) -> Expression | None:
    place = memory_place(row, function.registers(row.address))
    return None if place is None or place.base == FRAME else place


def _claimed(function: Function, row: Instruction) -> Claimed | None:
    """What an instruction claims."""
    operands = row.operands
    if len(operands) != 2 or MEMORY not in (operands[0].type, operands[1].type):
        return None
    place = _byte(function, row)
    if place is None:
        return None
    if row.mnemonic == "bts" and operands[1].type == IMMEDIATE:
        number = operands[1].imm
        return Claimed(place.plus(number // 8), 1 << number % 8)
    return Claimed(place, -1) if row.mnemonic in ("cmpxchg", "xchg") else None


def _freed(function: Function, row: Instruction) -> Claimed | None:
    """What an instruction clears."""
    if not stores(row) and row.mnemonic != "xchg":
        return None
    place, operands = _byte(function, row), row.operands
    if place is None or len(operands) != 2:
        return None
    by = operands[1].imm if operands[1].type == IMMEDIATE else None
    if row.mnemonic == "btr" and by is not None:
        return Claimed(place.plus(by // 8), 1 << by % 8)
    if row.mnemonic == "and" and by is not None:
        cleared = ~by & ((1 << 8 * (accessed_size(row) or 1)) - 1)
        low = (cleared & -cleared).bit_length() - 1 if cleared else 0
        return Claimed(place.plus(low // 8), cleared >> low // 8 * 8 & 0xFF)
    number = None
    if row.mnemonic in ("mov", "xchg"):
        number = stored_number(row, function.registers(row.address))
    return Claimed(place, -1) if number == 0 else None


def _got(function: Function, row: Instruction) -> list[int]:
    """Where the code goes on if it was free."""
    table = _CLEAR if row.mnemonic == "bts" else _ZERO
    wanted: str | None = None
    if row.mnemonic == "xchg":
        register = next((o.reg for o in row.operands if o.type != MEMORY), 0)
        table, wanted = {}, register_of(register)
    at, if_true = row.end, True
    for _ in range(_NEAR):
        one = function.code.get(at)
        if one is None:
            return []
        if one.mnemonic in table and wanted is None:
            taken = table[one.mnemonic] == if_true
            return [there for there in function.ways(one) if (there == one.end) != taken]
        if one.mnemonic in _SET_IF_CLEAR and wanted is None:
            if_true, wanted, table = not _SET_IF_CLEAR[one.mnemonic], one.written[0], {}
        elif one.mnemonic == "test" and wanted is not None and set(one.read) == {wanted}:
            wanted, table = None, _ZERO
        elif one.mnemonic[0] == "j" or one.mnemonic in ("call", "ret"):
            return []
        at = one.end
    return []

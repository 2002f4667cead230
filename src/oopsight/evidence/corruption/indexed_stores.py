"""Stores of a function by an index, and whether one can come to a place beside its table.

Not a fact by itself: :mod:`oopsight.evidence.corruption.stray_stores` and
:mod:`~oopsight.evidence.corruption.neighbour_stores` ask it.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence.corruption.index_limits import (
    IndexLimits,
    Limits,
    Root,
    Sum,
    operand_of,
    sum_of,
)
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import MASK, slot_of
from oopsight.evidence.flow.instructions import Instruction, Memory
from oopsight.kernel.addresses import in_kernel_half, signed

POINTER = 8
_BITS = 64
_STORES = ("mov", "add", "sub", "inc", "dec", "or", "and", "xor")
_OF_BITS = ("bts", "btr", "btc")
_WIDTHS = (4, 8)
_FARTHEST = 1 << 16
"""Elements."""
_LARGEST_OBJECT = 1 << 13


@dataclass(frozen=True)
class IndexedStore:
    """A store that comes to the place with some index."""

    at: int
    """The instruction, by its place in the function."""
    index: int
    """With which it does."""
    size: int
    """Bytes; 0 where it sets or clears a bit."""
    limits: Limits
    table: Root | None
    """What the pointer to the object with the table is; ``None`` for a variable."""


def stores_to(
    calls: Calls, code: Function, known: IndexLimits, place: int, *, in_object: bool
) -> Iterator[IndexedStore]:
    """Stores of a function that can come to a pointer, if their limits let them.

    :param known: the limits of the module's numbers
    :param place: the pointer's address, or its distance from the beginning of the object
    """
    for at, row in enumerate(code.instructions):
        found = _address(calls, code, at, row)
        if found is None:
            continue
        (first, terms), size = found
        table = None
        if in_object:
            table = next((root for root, factor in terms.items() if factor == 1), None)
            if len(terms) != 2 or table is None or abs(first) > _LARGEST_OBJECT:
                continue
            terms = {root: factor for root, factor in terms.items() if root != table}
        elif len(terms) != 1 or not in_kernel_half(first & MASK):
            continue
        root, stride = next(iter(terms.items()))
        distance = place - first if in_object else signed(place - first)
        number = _index(distance, stride, size) if size else _bit_at(distance)
        if number is not None:
            yield IndexedStore(at, number, size, known.of(code, root), table)


def _address(calls: Calls, code: Function, at: int, row: Instruction) -> tuple[Sum, int] | None:
    """What an instruction writes to, and how many bytes; of a bit the table it is in, and 0."""
    operand = next(iter(row.operands), None)
    memory = operand.memory if operand is not None else None
    mnemonic = row.mnemonic.removeprefix("lock ")
    if operand is None or memory is None or memory.segment:
        return None
    if slot_of(code, at, memory) is not None:
        return None
    if mnemonic in _OF_BITS:
        return _bit(calls, code, at, memory)
    if not operand.writes or mnemonic not in _STORES or memory.size not in _WIDTHS:
        return None
    place = sum_of(calls, code, memory, at)
    return None if place is None else (place, memory.size)


def _bit(calls: Calls, code: Function, at: int, memory: Memory) -> tuple[Sum, int] | None:
    """The same of an instruction that reaches a bit by its number, however far that is."""
    place = sum_of(calls, code, memory, at) if memory.index is None else None
    number = operand_of(calls, code, at, 1)
    if place is None or number is None or number[0] or len(number[1]) != 1:
        return None
    (root,) = number[1]
    if root in place[1]:
        return None
    # Eight of them are a byte; the place is compared in bits.
    return (place[0], {**place[1], root: _BITS}), 0


def _index(distance: int, stride: int, size: int) -> int | None:
    """The index with which a store runs into a pointer.

    :param distance: from the first element to the pointer, in bytes
    :param stride: from one element to the next
    :param size: of what is stored
    """
    if stride < size:
        return None
    for byte in range(1 - size, POINTER):
        number, rest = divmod(distance + byte, stride)
        if not rest and abs(number) < _FARTHEST:
            return number
    return None


def _bit_at(distance: int) -> int | None:
    """The first bit of a pointer that is so far from the beginning of a bitmap."""
    return distance * 8 if abs(distance) < _FARTHEST else None

"""Which entries a function links into chains, and whether it has taken them out before. x86-64.

The code is read in the order of its addresses, behind a return as it was where a jump leads there,
which is not every way through it: it serves to put suspects in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import MEMORY, REGISTER
from oopsight.kernel.loops import Link
from oopsight.kernel.machine_code import (
    FRAME,
    MASK,
    Expression,
    Instruction,
    Operand,
    Registers,
    accessed_size,
    after_call,
    assign,
    direct_target,
    memory_place,
    parsed,
    register_of,
    result_of,
    stored,
    writes_memory,
)

_WORD = 8
_ENDS = ("jmp", "ret", "int3", "ud2")
"""What lies behind them is only come to by a jump."""


@dataclass(frozen=True)
class Entry:
    """An entry that a function links in."""

    made_by: str | None
    """The function that had returned it; ``None`` for one that it found or was given."""
    argument: bool
    """Whether it was given."""
    unlinked: bool
    """Whether the function takes it out first."""
    passed_to: tuple[str, ...]
    """Functions that it is first given to, as their first argument."""


class Store(NamedTuple):
    """A pointer that is put somewhere."""

    at: int
    place: Expression | None
    """Of an element of an array, that of the first."""
    value: Expression
    size: int = _WORD


class Pass(NamedTuple):
    """A call, and what it is given first."""

    at: int
    called: str
    entry: Expression


class Reading:
    """The stores and calls of a function, with what registers hold at each."""

    def __init__(self, function: Function, name_of: Callable[[int], str | None]) -> None:
        self.stores: list[Store] = []
        self.others: list[Store] = []
        """The same of less than a word, or into an array."""
        self.passes: list[Pass] = []
        self.results: dict[str, str] = {}
        """By what the values are called that calls return: who returned it."""
        self.used: dict[str, set[tuple[int, int]]] = {}
        """By the pointer: offsets and sizes of what it reads and writes through it."""
        self.elements: set[tuple[int, int]] = set()
        """The same of elements of arrays, whatever the pointer."""
        self.compared: list[frozenset[Expression]] = []
        """Pointers, and numbers, that it compares with each other."""
        self._name_of = name_of
        self._registers: Registers = {r: Expression(r, 0) for r in ARGUMENTS}
        self._registers["rsp"] = Expression(FRAME, 0)
        self._come: dict[int, Registers] = {}
        """By where a jump leads that was met before: what registers hold there."""
        ended = False
        for row in function.code.values():
            if ended and row.address in self._come:
                self._registers = self._come[row.address]
            self._step(row)
            ended = row.mnemonic in _ENDS

    def _step(self, row: Instruction) -> None:
        registers = self._registers
        if row.mnemonic == "call":
            target = direct_target(row)
            called = (self._name_of(target) if target is not None else None) or ""
            if "rdi" in registers:
                self.passes.append(Pass(row.address, called, registers["rdi"]))
            self.results[result_of(row.address).base] = called
            after_call(row, registers)
            return
        self._note(row)
        value = stored(row, registers)
        place = memory_place(row, registers)
        if value is not None:
            self.stores.append(Store(row.address, place, value))
        if (value is None or place is None) and row.mnemonic == "mov" and writes_memory(row):
            self._note_other(row)
        if row.mnemonic.startswith("j"):
            target = direct_target(row)
            if target is not None:
                self._come.setdefault(target, dict(registers))
            return
        assign(row, registers)
        for register in row.written:
            registers.setdefault(register, Expression(f"made at {row.address:#x}", 0))

    def _note_other(self, row: Instruction) -> None:
        """Remember a store of less than a word, or into an array."""
        to, source = row.operands
        value = self._registers.get(register_of(source.reg) or "")
        place = memory_place(row, self._registers) or self._element(row)
        if source.type == REGISTER and value is not None and place is not None:
            self.others.append(Store(row.address, place, value, to.size))

    def _element(self, row: Instruction) -> Expression | None:
        """The address of the first element of the array that an instruction accesses one of."""
        memory = next((one.mem for one in row.operands if one.type == MEMORY), None)
        if memory is None or not memory.indexed or memory.segment:
            return None
        if not memory.base:
            return Expression("", memory.disp & MASK)
        base = self._registers.get(register_of(memory.base) or "")
        return base.plus(memory.disp) if base is not None else None

    def _note(self, row: Instruction) -> None:
        """Remember what an instruction accesses, or compares."""
        place, size = memory_place(row, self._registers), accessed_size(row)
        if place is None and size is not None:
            place = self._element(row)
            self.elements |= {(place.offset, size)} if place is not None else set()
        if place is not None and size is not None and place.base != FRAME:
            self.used.setdefault(place.base, set()).add((place.offset, size))
        if row.mnemonic == "cmp" and row.operands[0].size >= _WORD // 2:
            both = [_operand(row, one, self._registers) for one in row.operands]
            if None not in both:
                self.compared.append(frozenset(one for one in both if one is not None))


def _operand(row: Instruction, operand: Operand, registers: Registers) -> Expression | None:
    """What is compared: a register's pointer, or one that is read."""
    if operand.type == REGISTER:
        return registers.get(register_of(operand.reg) or "")
    place = memory_place(row, registers) if operand.type == MEMORY else None
    return Expression(f"[{place}]", 0) if place is not None else None


def linked(
    function: Function, link: Link, name_of: Callable[[int], str | None]
) -> tuple[Entry, ...]:
    """The entries that a function links in by a link of this kind.

    :param name_of: names the function at an address, ``None`` where none begins there
    """
    reading = Reading(function, name_of)
    put: dict[str, list[Store]] = {}
    for one in reading.stores:
        _, place, value, _ = one
        # Where the loop has the nodes themselves, they may lie anywhere in their objects.
        if (
            not value.base
            or value.base == FRAME
            or (link.node and value.offset not in (0, link.node))
        ):
            continue
        if place is not None and (place.base in (value.base, FRAME) or _neighbours(place, value)):
            continue
        if _points_on(reading.stores, value.plus(link.field)):
            put.setdefault(value.base, []).append(one)
    return tuple(
        _entry(reading, base, max(one.at for one in stores))
        for base, stores in put.items()
        if not _stays(base, put)
    )


def unlinks_argument(function: Function, name_of: Callable[[int], str | None]) -> bool:
    """Whether a function takes out of a chain what it is given first."""
    return _taken_out(Reading(function, name_of).stores, "rdi", MASK)


def links_with_itself(
    function: Function,
    link: Link,
    name_of: Callable[[int], str | None],
    unlinks: tuple[str, ...],
) -> bool:
    """Whether a function takes an entry out of a chain and lets it point to itself.

    That is what ``list_del_init()`` does.

    :param unlinks: what the names of functions begin with that are handed an entry to take it out
    """
    reading = Reading(function, name_of)
    out = {one.entry for one in reading.passes if one.called.startswith(unlinks)}
    return any(
        value in out and place == value.plus(link.field) for _, place, value, _ in reading.stores
    )


def _points_on(stores: Iterable[Store], field: Expression) -> bool:
    """Whether another entry, not the end of a chain, is put into a field."""
    return any(
        place == field and value != Expression("", 0) and value.base != field.base
        for _, place, value, _ in stores
    )


def _stays(base: str, put: dict[str, list[Store]]) -> bool:
    """Whether it is but the neighbour of what is linked in, whose own neighbours point to it."""
    into = {one.place.base if one.place is not None else None for one in put[base]}
    other = next(iter(into)) if len(into) == 1 else None
    return other is not None and len(put.get(other, ())) > len(put[base])


def _entry(reading: Reading, base: str, at: int) -> Entry:
    passed = (one for one in reading.passes if one.at < at and one.entry.base == base)
    return Entry(
        made_by=reading.results.get(base),
        argument=base in ARGUMENTS,
        unlinked=_taken_out(reading.stores, base, at),
        passed_to=tuple(dict.fromkeys(one.called for one in passed if one.called)),
    )


def _taken_out(stores: Iterable[Store], base: str, before: int) -> bool:
    """Whether one neighbour of an entry is put into another."""
    return any(
        place is not None and at < before and _neighbours(place, value) == base
        for at, place, value, _ in stores
    )


def _neighbours(one: Expression, other: Expression) -> str | None:
    """The entry from which two pointers were both read, as when it is taken out of a chain."""
    first, second = _read_from(one), _read_from(other)
    return first if first == second else None


def _read_from(value: Expression) -> str | None:
    inner = parsed(value.base[1:-1]) if value.base.startswith("[") else None
    return inner.base if inner is not None and inner.base else None

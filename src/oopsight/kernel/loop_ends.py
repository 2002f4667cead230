"""By which numbers in memory a loop ends, from the machine code alone. x86-64.

A loop's conditional jumps out of it are followed back, through registers and the own stack, to what
was read from memory, be it in the loop or before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.kernel.calling_convention import ARGUMENTS, CALLER_SAVED
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE, MEMORY, REGISTER
from oopsight.kernel.machine_code import (
    KEEP_FLAGS,
    SLOT,
    Expression,
    Instruction,
    accessed_size,
    address_registers,
    memory_place,
    register_of,
    slot_of,
    stores,
    writes_memory,
)

_MOST_STEPS = 20_000
_KEEP_FLAGS = (*KEEP_FLAGS, "call")
_CLEARS = ("xor", "sub")
_SUBTRACTS = ("sub", "dec", "neg", "not")
_LIMITS = ("and", "div", "idiv", "mul", "imul", "cmov")
_EQUALITY = ("je", "jne", "jz", "jnz")
_LARGEST_STEP = 1 << 16


class Read(NamedTuple):
    """A read from memory, not the own stack."""

    place: Expression | None
    """``None`` where an index tells, or where the code does not."""
    size: int
    """In bytes."""


@dataclass(frozen=True)
class Origin:
    """What a value is made of."""

    reads: frozenset[Read]
    called: bool
    """Whether a call's result is among it."""
    carried: frozenset[int]
    """Addresses of instructions that make the next turn's value of the last one's."""
    elsewhere: frozenset[int] = frozenset()
    """Addresses of the instructions of those reads for which the code has no place."""
    limited: bool = False
    """Whether it is masked, divided or chosen by a comparison on the way."""
    added: frozenset[int] = frozenset()
    """The constants that are added or taken off on the way, without their sign."""
    given: bool = False
    """Whether an argument of the function is among it, and no pointer."""
    subtracts: bool = False
    """Whether something is taken from something else on the way."""


class Bound(NamedTuple):
    """A number that a loop counts, and the one that ends it."""

    counter: str
    limit: str | None
    """The register that holds it, which the loop leaves alone; ``None``: it counts down to zero."""
    size: int
    """In bytes."""
    most: int | None = None
    """The greatest number that it can count to, if it does so in less than it compares."""


@dataclass(frozen=True)
class LoopEnd:
    """What ends a loop."""

    reads: frozenset[Read]
    called: bool
    stands_still: bool
    """Whether some way round it changes nothing of what ends it: it polls, or forgets to go on."""
    elsewhere: frozenset[int] = frozenset()
    """Addresses of its instructions that read what ends it at a place which changes by turns."""
    stride: int | None = None
    """By how much it goes on at once, if that is more than one, and it ends by equality alone."""
    given: bool = False
    """Whether an argument of the function, and no pointer, is part of what ends it."""
    bounds: tuple[Bound, ...] = ()
    """What it counts, and how far."""

    @property
    def by_itself(self) -> bool:
        """Whether it ends by what it counts itself, or was given."""
        return not self.reads and not self.called


def loop_end(function: Function, address: int) -> LoopEnd | None:
    """What ends the loops around an address; ``None`` where it is in none.

    :param address: of an instruction, or a return address
    """
    before = came_from(function)
    whole, inner = _loops(function, address, before)
    if not inner:
        return None
    exits = [at for at in whole if _leaves(function, at, whole)]
    exits += [at for at in inner if _leaves(function, at, inner)]
    slicer = _Slicer(function, before)
    for at in exits:
        slicer.compared_at(at)
    found = slicer.origin()
    changing = found.carried | {at for at in whole if _stores_to(function, at, found.reads)}
    turns = _turns(function, address, inner - changing)
    stride = _stride(function, before, exits, inner)
    elsewhere = found.elsewhere & inner
    bounds = tuple(_bounds(function, inner))
    return LoopEnd(found.reads, found.called, turns, elsewhere, stride, found.given, bounds)


def inner_loop(
    function: Function, address: int, before: dict[int, list[int]] | None = None
) -> frozenset[int]:
    """The instructions of the smallest loop around one; none where it is in no loop."""
    return _loops(function, address, came_from(function) if before is None else before)[1]


def carries(
    function: Function, jump: int, loop: frozenset[int], before: dict[int, list[int]]
) -> bool:
    """Whether a jump out of a loop goes by what this makes anew of the last turn's.

    What is read from where such a number tells, as a member of the next object, is not that.
    """
    slicer = _Slicer(function, before)
    slicer.compared_at(jump)
    found = slicer.origin()
    return slicer.goes_by(jump, found.carried) or any(
        _stores_to(function, at, found.reads) for at in loop
    )


def stored_from(function: Function, address: int) -> Origin:
    """What is made into what an instruction stores in memory."""
    slicer = _Slicer(function, came_from(function))
    slicer.used_by(function.code[address], written=True)
    return slicer.origin()


def _stride(
    function: Function, before: dict[int, list[int]], exits: list[int], inner: frozenset[int]
) -> int | None:
    """By how much a loop goes on at once; ``None`` if it cannot step over where it should end."""
    steps: set[int] = set()
    for jump in exits:
        slicer = _Slicer(function, before)
        slicer.compared_at(jump)
        found = slicer.origin()
        kept = [at for at in inner if _stores_to(function, at, found.reads)]
        own = {_step(function.code[at]) for at in found.carried} - {None}
        if (own or kept) and function.code[jump].mnemonic not in _EQUALITY:
            return None
        steps |= {step for step in own if step is not None}
        steps |= set().union(*(stored_from(function, at).added for at in kept))
    stride = math.gcd(*steps)
    return stride if stride > 1 else None


def _bounds(function: Function, inner: frozenset[int]) -> Iterator[Bound]:
    """The numbers by which a loop ends that it counts in registers."""
    rows = [function.code[at] for at in sorted(inner)]
    written = {name for row in rows for name in row.written}
    for row, jump in pairwise(rows):
        if jump.address != row.end or not _leaves(function, jump.address, inner):
            continue
        operands = row.operands
        names = [register_of(one.reg) for one in operands if one.type == REGISTER]
        if row.mnemonic == "cmp" and len(names) == 2:
            counter, limit = names if names[0] in written else names[::-1]
            if counter in written and limit is not None and limit not in written:
                yield Bound(counter, limit, operands[0].size, _most(rows, row, counter))
        elif row.mnemonic in ("sub", "dec") and _step(row) == 1 and names[0] is not None:
            yield Bound(names[0], None, operands[0].size)


def _most(rows: list[Instruction], end: Instruction, counter: str) -> int | None:
    """How far a loop can count in the part of a register of which it compares the whole.

    :param rows: of the loop
    :param end: where it compares
    """
    made = [row for row in rows if row.address < end.address and counter in row.written][-1:]
    for row in made:
        narrow = row.operands[1] if row.mnemonic == "movzx" else None
        if narrow is None or narrow.type != REGISTER:
            return None
        name = register_of(narrow.reg)
        if any(name in one.written and _step(one) is not None for one in rows):
            return (1 << 8 * narrow.size) - 1
    return None


def _step(row: Instruction) -> int | None:
    """The constant by which an instruction changes a number, without its sign."""
    operands, step = row.operands, 0
    if row.mnemonic in ("inc", "dec"):
        step = 1
    elif row.mnemonic in ("add", "sub") and operands[1].type == IMMEDIATE:
        step = abs(operands[1].imm)
    elif row.mnemonic == "lea" and operands[1].type == MEMORY and not operands[1].mem.indexed:
        step = abs(operands[1].mem.disp)
    return step if 0 < step < _LARGEST_STEP else None


class _Slicer:
    """Follows values back to where they come from."""

    def __init__(self, function: Function, before: dict[int, list[int]]) -> None:
        self._function = function
        self._before = before
        self._waiting: list[tuple[int, str, int | None]] = []
        self._made: dict[int, set[int]] = {}
        """Of an instruction, the ones whose results it takes."""
        self._reads: set[Read] = set()
        self._elsewhere: set[int] = set()
        self._called = False
        self._given: set[str] = set()

    def compared_at(self, jump: int) -> None:
        """Ask for what a conditional jump goes by."""
        for row in self._back(jump):
            if row.mnemonic not in _KEEP_FLAGS and row.mnemonic[0] != "j":
                self.used_by(row)

    def used_by(self, row: Instruction, *, written: bool = False) -> None:
        """Ask for all that an instruction takes.

        :param written: only for what it stores in memory, not for where
        """
        if row.mnemonic in _CLEARS and len(row.operands) > 1 and len(set(row.read)) == 1:
            first, second = row.operands[:2]
            if first.type == second.type and first.reg == second.reg:
                return
        names = set(row.read) - {"rsp"}
        if row.mnemonic.startswith("cmov"):
            names |= set(row.written)  # it may leave there what was there before
        place = memory_place(row, self._function.registers(row.address))
        slot = slot_of(place)
        reads = accessed_size(row) is not None and (not writes_memory(row) or row.mnemonic != "mov")
        if written:
            names -= set(address_registers(row))
        if slot is not None:
            names -= set(address_registers(row))
            names |= {slot} if reads else set()
        elif reads:
            self._reads.add(Read(place, accessed_size(row) or 0))
            self._elsewhere |= {row.address} if place is None else set()
        for name in names:
            self._waiting.append((row.address, name, row.address))

    def origin(self) -> Origin:
        """Follow all that was asked for."""
        seen: set[tuple[int, str, int | None]] = set()
        used: set[int] = set()
        steps = 0
        while self._waiting and steps < _MOST_STEPS:
            at, name, user = self._waiting.pop()
            steps += 1
            if at == self._function.start and name in ARGUMENTS:
                self._given.add(name)
            for row in (self._function.code[one] for one in self._before.get(at, ())):
                if self._makes(row, name):
                    if user is not None:
                        self._made.setdefault(user, set()).add(row.address)
                    if row.mnemonic == "call":
                        self._called = self._called or name == "rax"
                    elif row.address not in used:
                        used.add(row.address)
                        self.used_by(row)
                elif (row.address, name, user) not in seen:
                    seen.add((row.address, name, user))
                    self._waiting.append((row.address, name, user))
        carried = frozenset(at for at in self._made if _comes_round(self._made, at))
        elsewhere = frozenset(self._elsewhere)
        limited = any(self._function.code[at].mnemonic.startswith(_LIMITS) for at in used)
        added = {step for at in used if (step := _step(self._function.code[at])) is not None}
        return Origin(
            frozenset(self._reads),
            self._called,
            carried,
            elsewhere,
            limited,
            frozenset(added),
            not self._given <= _pointers(self._function),
            any(self._function.code[at].mnemonic in _SUBTRACTS for at in used),
        )

    def goes_by(self, jump: int, makers: frozenset[int]) -> bool:
        """Whether a jump goes by what one of some instructions made, not only read by it."""
        waiting = [row for row in self._back(jump) if row.mnemonic not in _KEEP_FLAGS]
        seen: set[tuple[int, str]] = set()
        while waiting:
            row = waiting.pop()
            if row.address in makers:
                return True
            for name in _values(row):
                waiting += self._makers(row.address, name, seen)
        return False

    def _makers(self, address: int, name: str, seen: set[tuple[int, str]]) -> Iterator[Instruction]:
        """The instructions that may have set a register before an address."""
        waiting = [address]
        while waiting:
            at = waiting.pop()
            if (at, name) in seen:
                continue
            seen.add((at, name))
            for one in self._before.get(at, ()):
                row = self._function.code[one]
                if self._makes(row, name):
                    yield row
                else:
                    waiting.append(one)

    def _makes(self, row: Instruction, name: str) -> bool:
        """Whether an instruction sets a register or a slot of the own stack."""
        if name.startswith(SLOT):
            place = memory_place(row, self._function.registers(row.address))
            return stores(row) and slot_of(place) == name
        return name in (CALLER_SAVED if row.mnemonic == "call" else row.written)

    def _back(self, address: int) -> Iterator[Instruction]:
        """The nearest instructions before an address that may set the flags."""
        seen: set[int] = set()
        waiting = list(self._before.get(address, ()))
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            row = self._function.code[at]
            if row.mnemonic in _KEEP_FLAGS or row.mnemonic[0] == "j":
                waiting += self._before.get(at, ())
            else:
                yield row


def _pointers(function: Function) -> set[str]:
    """The arguments that the function reads or writes through."""
    found = set()
    for at, row in function.code.items():
        for one in row.operands if row.mnemonic not in ("lea", "nop") else ():
            base = register_of(one.mem.base) if one.type == MEMORY else None
            known = function.registers(at).get(base) if base is not None else None
            found |= {known.base} if known is not None else set()
    return found


def _values(row: Instruction) -> set[str]:
    """The registers that an instruction takes a value of, and no address."""
    names = set(row.read) - {"rsp"} if row.mnemonic != "call" else set()
    return names if accessed_size(row) is None else names - set(address_registers(row))


def came_from(function: Function) -> dict[int, list[int]]:
    """Of each instruction, those from which the code comes to it."""
    found: dict[int, list[int]] = {}
    for at, row in function.code.items():
        for there in function.ways(row):
            found.setdefault(there, []).append(at)
    return found


def _loops(
    function: Function, address: int, before: dict[int, list[int]]
) -> tuple[frozenset[int], frozenset[int]]:
    """All that lies on a way round through an address, and the smallest loop of it."""
    after = {at: function.ways(row) for at, row in function.code.items()}
    whole = _reached(after, after.get(address, ())) & _reached(before, before.get(address, ()))
    if address not in whole:
        return frozenset(), frozenset()
    backward = [
        (at, there) for at in whole for there in after[at] if there in whole and there <= at
    ]
    loops = [whole & _reached(before, (at,), stop=there) for at, there in backward]
    around = [one for one in loops if address in one]
    return whole, min(around, key=len, default=whole)


def _reached(
    ways: dict[int, list[int]], start: Iterable[int], stop: int | None = None
) -> frozenset[int]:
    """What can be come to, the start with it, but not past an address."""
    seen: set[int] = set() if stop is None else {stop}
    waiting = list(start)
    while waiting:
        at = waiting.pop()
        if at in seen or at not in ways:
            continue
        seen.add(at)
        waiting += ways[at]
    return frozenset(seen)


def _leaves(function: Function, at: int, loop: frozenset[int]) -> bool:
    ways = function.ways(function.code[at])
    return len(ways) > 1 and any(there not in loop for there in ways)


def _stores_to(function: Function, at: int, reads: frozenset[Read]) -> bool:
    row = function.code[at]
    place = memory_place(row, function.registers(at)) if stores(row) else None
    return place is not None and any(read.place == place for read in reads)


def _turns(function: Function, address: int, rows: frozenset[int]) -> bool:
    """Whether there is a way round through an address within some instructions."""
    ways = {at: function.ways(function.code[at]) for at in rows}
    return address in _reached(ways, ways.get(address, ()))


def _comes_round(made: dict[int, set[int]], start: int) -> bool:
    """Whether an instruction takes what came of its own result."""
    seen: set[int] = set()
    waiting = list(made.get(start, ()))
    while waiting:
        at = waiting.pop()
        if at == start:
            return True
        if at not in seen:
            seen.add(at)
            waiting += made.get(at, ())
    return False

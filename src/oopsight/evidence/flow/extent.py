"""Where it was taken from how far a function goes through memory.

The length that it handed to a copy, the index of its access, and what it compares in the loop that
repeats that: all that these are computed of, back to memory, to what the call brought with it, or
to the code. Pointers are no numbers, and do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum

from oopsight.cheap import dataclass, field
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import (
    Copy,
    Effect,
    Either,
    Load,
    Operation,
    Place,
    Returned,
    Slot,
    slot_of,
)
from oopsight.evidence.flow.instructions import ARGUMENTS, CALL_CLOBBERS, Operand, whole_register
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.values import Values
from oopsight.kernel.addresses import in_kernel_half

_MOST_PLACES = 256
_LENGTH = {
    **dict.fromkeys(("memset", "memcpy", "memmove", "copy_from_user", "copy_to_user"), "rdx"),
    **dict.fromkeys(("strncpy", "strscpy", "sized_strscpy", "strlcpy", "hex2bin"), "rdx"),
    **dict.fromkeys(("snprintf", "scnprintf", "vsnprintf", "vscnprintf"), "rsi"),
}
"""Of functions that are told how far they may go, the register that says it."""
_STRING = ("rdi", "rsi", "rcx")
# The memory that these return is of the call that asked for it.
_FRESH = ("memdup", "kstrndup", "kmalloc", "kzalloc", "kvmalloc")
_COMPARES = ("cmp", "test", "sub", "add", "dec", "inc", "and")


class Origin(str, Enum):
    """What a number came from."""

    CALL = "call"
    """An argument, what a function returned, or data of this call alone."""
    MEMORY = "memory"
    """What somebody had left in memory."""


@dataclass(frozen=True)
class Taken:
    """A number that tells how far to go, or that such a one was computed of."""

    origin: Origin
    context: Context = field(repr=False)
    index: int
    """Of the instruction that took it."""
    argument: str | None = None
    """The register in which the outermost function that was looked at received it."""


class Extent:
    """Looks for all the numbers, in a function and in those that called it."""

    def __init__(self, values: Values, follow: Callable[[Context], bool]) -> None:
        """Nothing is looked at yet.

        :param follow: whether to go on in a caller; else what it handed over is of the call
        """
        self._values = values
        self._follow = follow
        self._seen: set[tuple[int, Place, int]] = set()

    def taken(self, context: Context) -> list[Taken]:
        """What tells how far the function went, the place that it began at included."""
        return self._taken(context, self._used(context), conditions(context.function, context.at))

    def limits(self, context: Context) -> list[Taken]:
        """What tells the function where to end; nothing, where what it copies tells that.

        The end may be computed from where it begins: that is no limit.
        """
        length = self._length(context)
        used = () if length is None else (length,)
        where = self._taken_of(context, self._where(context))
        begun = _arguments(where) | self._begun_at(context)
        bases = self._taken_of(context, _bases(context))
        read = {_read_at(one) for one in bases if one.origin is Origin.MEMORY}
        found = self._taken(context, used, conditions(context.function, context.at))
        return [one for one in found if one.argument not in begun and _read_at(one) not in read]

    def _begun_at(self, context: Context) -> set[str]:
        """Arguments that a loop's count begins at, where its end is so much more than that."""
        found: set[str] = set()
        for index in conditions(context.function, context.at):
            row = context.function.instructions[index]
            names = [whole_register(one.register or "") for one in row.operands]
            if row.mnemonic != "cmp" or len(names) != 2:
                continue
            taken = [self._of_register(context, name, index) for name in names]
            both = set.intersection(*map(_arguments, taken))
            if any(one.argument not in both for part in taken for one in part):
                found |= both
        return found

    def _of_register(self, context: Context, name: str | None, at: int) -> list[Taken]:
        """What a register was computed of before an instruction."""
        return self._taken_of(context, [name] if name is not None else [], at)

    def _taken_of(
        self, context: Context, names: Iterable[str], at: int | None = None
    ) -> list[Taken]:
        """What registers were computed of, by themselves."""
        alone = Extent(self._values, self._follow)
        return alone._taken(context, names, (), at)

    def _where(self, context: Context) -> Iterable[str]:
        """Registers of the address that is written to."""
        row = context.function.instructions[context.at]
        if row.target is not None:
            return ARGUMENTS[:1]
        return self._used(context)

    def _taken(
        self,
        context: Context,
        registers: Iterable[str],
        conditions: Iterable[int],
        at: int | None = None,
    ) -> list[Taken]:
        found: list[Taken] = []
        code = context.function
        begin = context.at if at is None else at
        work: list[tuple[Context, Place, int]] = [
            (context, register, begin) for register in registers
        ]
        for index in conditions:
            for operand in code.instructions[index].operands:
                what = self._operand(context, index, operand)
                found.extend(self._of(context, what, index, work) if what is not None else ())
        while work and len(self._seen) < _MOST_PLACES:
            inner, place, at = work.pop()
            key = (id(inner), place, at)
            if key in self._seen:
                continue
            self._seen.add(key)
            for one in self._values.definitions(inner.function, place, at) or ():
                if one.effect is None:
                    found.extend(self._entered(inner, place, work))
                else:
                    found.extend(self._of(inner, one.effect, one.index, work))
        return found

    def _called(self, context: Context) -> str:
        """The function that is called here, without the underscores before its name."""
        target = context.function.instructions[context.at].target
        known = None if target is None else self._values.reader.function(target)
        return "" if known is None else known[0].lstrip("_")

    def _length(self, context: Context) -> str | None:
        """The register that tells the function which is called here how far it may go."""
        return _LENGTH.get(self._called(context))

    def _used(self, context: Context) -> Iterable[str]:
        """Registers that tell where the instruction, or the function that it calls, accesses."""
        row = context.function.instructions[context.at]
        if row.is_call:
            name = self._called(context)
            if name not in _LENGTH:
                return ARGUMENTS[:4]
            # memset()'s second is what it fills with.
            return ("rdi", _LENGTH[name]) if name == "memset" else ARGUMENTS[:3]
        if row.mnemonic.startswith("rep"):
            return _STRING
        memories = [one.memory for one in row.operands if one.memory is not None]
        names = (name for memory in memories for name in (memory.base, memory.index))
        return [name for name in names if name is not None and name not in ("rip", "rsp")]

    def _operand(self, context: Context, index: int, operand: Operand) -> Effect | None:
        if operand.register is not None:
            whole = whole_register(operand.register)
            return None if whole is None else Copy(whole)
        memory = operand.memory
        if memory is None:
            return None
        slot = slot_of(context.function, index, memory)
        return Load(memory) if slot is None else Copy(slot)

    def _of(
        self,
        context: Context,
        what: Effect,
        index: int,
        work: list[tuple[Context, Place, int]],
    ) -> Iterator[Taken]:
        """What an effect takes; the places that it takes it from are added to the work."""
        if isinstance(what, Copy):
            if isinstance(what.source, Slot) and _lent(context, what.source):
                yield Taken(Origin.CALL, context, index)
            else:
                work.append((context, what.source, index))
        elif isinstance(what, Either):
            yield from self._of(context, what.first, index, work)
            yield from self._of(context, what.second, index, work)
        elif isinstance(what, Operation):
            for one in what.inputs:
                yield from self._of(context, one, index, work)
        elif isinstance(what, Returned):
            yield Taken(Origin.CALL, context, index)
        elif isinstance(what, Load) and not self._is_pointer(context, what, index):
            # A byte is what is copied rather than a length.
            mine = what.memory.size == 1 or self._is_fresh(context, what.memory.base, index)
            yield Taken(Origin.CALL if mine else Origin.MEMORY, context, index)

    def _is_pointer(self, context: Context, load: Load, index: int) -> bool:
        value = self._values.evaluate(context, index, load, 0)
        return value is not None and load.memory.size == 8 and in_kernel_half(value)

    def _is_fresh(self, context: Context, base: str | None, index: int) -> bool:
        """Whether a pointer leads to memory that the function had allocated for this call."""
        place: Place | None = base
        for _ in range(8):
            found = None if place is None else self._values.definitions(
                context.function, place, index
            )  # fmt: skip
            if not found or len(found) > 1:
                return False
            what, index = found[0].effect, found[0].index
            if isinstance(what, Returned):
                known = None if what.target is None else self._values.reader.function(what.target)
                return known is not None and any(name in known[0] for name in _FRESH)
            place = what.source if isinstance(what, Copy) else None
        return False

    def _entered(
        self, context: Context, place: Place, work: list[tuple[Context, Place, int]]
    ) -> Iterator[Taken]:
        """What a place held as the function was entered."""
        caller, source = self._values.outwards(context, place)
        if caller is not None and source is not None and self._follow(caller):
            work.append((caller, source, caller.at))
            return
        if isinstance(place, Slot) or place not in CALL_CLOBBERS:
            return
        value = self._values.entering(context, place)
        if value is None or not in_kernel_half(value):
            yield Taken(Origin.CALL, context, 0, place)


def _bases(context: Context) -> list[str]:
    """Registers that an instruction counts from, where it writes to memory."""
    row = context.function.instructions[context.at]
    written = (one.memory for one in row.operands if one.writes and one.memory is not None)
    return [memory.base for memory in written if memory.base is not None]


def _read_at(one: Taken) -> tuple[int, int]:
    return one.context.function.start, one.index


def _arguments(taken: Iterable[Taken]) -> set[str]:
    return {one.argument for one in taken if one.argument is not None}


def _lent(context: Context, slot: Slot) -> bool:
    """Whether the function hands out the address of a variable on its stack, to be filled."""
    code = context.function
    return any(
        row.mnemonic == "lea"
        and row.operands[1].memory is not None
        and slot_of(code, index, row.operands[1].memory) == slot
        for index, row in enumerate(code.instructions)
    )


def conditions(code: Function, at: int) -> list[int]:
    """The comparisons on which the loop ends that repeats an instruction."""
    loop = reached(code.after, at) & reached(code.before, at)
    found = []
    for index in loop:
        row = code.instructions[index]
        if not row.is_jump or not row.falls_through or loop.issuperset(code.after[index]):
            continue
        before = next((i for i in range(index - 1, -1, -1) if not _keeps_flags(code, i)), None)
        if before is not None and code.instructions[before].mnemonic in _COMPARES:
            found.append(before)
    return sorted(found)


def _keeps_flags(code: Function, index: int) -> bool:
    mnemonic = code.instructions[index].mnemonic
    return mnemonic.startswith(("mov", "lea", "nop", "cmov", "set", "j"))


def reached(ways: tuple[tuple[int, ...], ...], start: int, but: Collection[int] = ()) -> set[int]:
    """Instructions that come after, or before, one; that itself only if it is repeated.

    :param but: instructions through which no way is to lead
    """
    found: set[int] = set()
    work = [start]
    while work:
        for other in ways[work.pop()]:
            if other not in found and other not in but:
                found.add(other)
                work.append(other)
    return found

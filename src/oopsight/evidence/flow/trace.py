"""Walk backwards from a place at an instruction to what it was set from, and find values."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from oopsight.cheap import dataclass, field
from oopsight.evidence.flow import Reader
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import (
    MASK,
    Constant,
    Copy,
    Effect,
    Either,
    Load,
    Lost,
    Place,
    Returned,
    Slot,
    effect,
    signed,
    slot_of,
)
from oopsight.evidence.flow.instructions import ARGUMENTS, CALLEE_SAVED, Memory

MOST_VISITED = 4000
MOST_STEPS = 64
MOST_LIST_ENTRIES = 20_000
FARTHEST_WALK = 1 << 20
DEEPEST_VALUE = 12
ENTRY = -1

# Assembly routines that leave every register as it was (arch/x86/kernel/ftrace_64.S,
# arch/x86/entry/thunk_64.S).
_PRESERVING = ("__fentry__", "ftrace_", "preempt_schedule", "__SCT__preempt", "__cond_resched_")


@dataclass(eq=False)
class Context:
    """One call in progress: a function, and where in it the machine is."""

    function: Function
    at: int
    """Index of the instruction that faulted or that called the next frame."""
    registers: dict[str, int]
    """What is known of the registers just before that instruction."""
    base: int | None
    """Value of the stack pointer after the function's return."""
    frame: int
    """Index in the backtrace."""
    caller: Callable[[], Context | None] = lambda: None
    segments: dict[str, int] = field(default_factory=dict)


class How(str, Enum):
    """How a value came to be where it is."""

    COPIED = "copied"
    COMPUTED = "computed"
    """A constant was added."""
    RELOADED = "reloaded"
    """From a slot of the frame."""
    LOADED = "loaded"
    """From memory: the end of the way of this value."""
    PASSED = "passed"
    """By the caller, in the same register."""
    SET = "set"
    """To a number that stands in the code: the end."""
    RETURNED = "returned"
    """By a function that was called: the end."""
    SAVED = "saved"
    """The very value lies where a caller saved one of its arguments; the way from there to here,
    through a list of variable arguments, is not seen."""
    LOST = "lost"
    """Not followed further."""


@dataclass(frozen=True)
class Move:
    """One step back."""

    how: How
    context: Context = field(repr=False)
    index: int
    """Of the instruction; for a passed argument the call."""
    place: Place
    """Where the value went."""
    source: Place | None
    """Where it came from, if a place."""
    value: int | None
    """What ``place`` held after it."""
    load: Load | None = None
    address: int | None = None
    """Of the memory loaded, where it can be computed."""
    found: int | None = None
    """What that memory holds in the dump."""
    why: str = ""
    certain: bool = True
    """Whether this was the only way; else the only one that agrees with the dump."""


@dataclass(frozen=True)
class _Definition:
    index: int
    effect: Effect | None
    """``None``: the place had its value when the function was entered."""


class Tracer:
    """Traces values through contexts; reads memory through ``reader``."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._preserving: dict[int, bool] = {}

    def _preserves(self, function: Function, index: int) -> bool:
        row = function.instructions[index]
        if not row.is_call or row.target is None:
            return False
        if row.target not in self._preserving:
            found = self.reader.function(row.target)
            self._preserving[row.target] = bool(found and found[0].startswith(_PRESERVING))
        return self._preserving[row.target]

    def _effect(self, function: Function, index: int, place: Place) -> Effect | None:
        return effect(function, index, place, self._preserves(function, index))

    def definitions(self, function: Function, place: Place, at: int) -> list[_Definition] | None:
        """All the instructions that may have given the place its value before instruction ``at``.

        :return: ``None`` where there are too many ways to look at
        """
        found: dict[int, _Definition] = {}
        seen = {at}
        work = [at]
        while work:
            index = work.pop()
            if index == 0:
                found[ENTRY] = _Definition(ENTRY, None)
            for other in function.before[index]:
                if other in found:
                    continue
                done = self._effect(function, other, place)
                if done is not None:
                    found[other] = _Definition(other, done)
                elif other not in seen:
                    seen.add(other)
                    work.append(other)
            if len(seen) > MOST_VISITED:
                return None
        return list(found.values())

    def _kept(self, context: Context, place: Place, at: int) -> bool:
        """Whether the place still holds at the context's end what it held before ``at``."""
        function = context.function
        if at == context.at:
            return True
        # What may be carried out after this pass through ``at`` and before the end.
        ahead = {at}
        work = [at]
        while work:
            for other in function.after[work.pop()]:
                if other not in ahead and other != context.at:
                    ahead.add(other)
                    work.append(other)
                    if len(ahead) > MOST_VISITED:
                        return False
        behind: set[int] = set()
        work = [context.at]
        while work:
            for other in function.before[work.pop()]:
                if other not in behind:
                    behind.add(other)
                    # Going back through ``at`` would be an earlier pass.
                    if other != at:
                        work.append(other)
                    if len(behind) > MOST_VISITED:
                        return False
        return all(
            self._effect(function, index, place) is None for index in ahead & (behind | {at})
        )

    def value(self, context: Context, place: Place, at: int, depth: int = 0) -> int | None:
        """What the place held before instruction ``at``, as far as the dump tells.

        Registers of the context, where nothing changed the place since; else computed from its
        definition, memory taken as it is in the dump.
        """
        if depth > DEEPEST_VALUE:
            return None
        if place == "rsp":
            below = context.function.depth[at]
            if context.base is not None and below is not None:
                return context.base - below
        if self._kept(context, place, at):
            if isinstance(place, Slot):
                return self.slot_value(context, place)
            if place in context.registers:
                return context.registers[place]
        found = self.definitions(context.function, place, at)
        if found is None or len(found) != 1:
            return None
        only = found[0]
        if only.effect is None:
            caller, source = self._outwards(context, place)
            if caller is None or source is None:
                return None
            return self.value(caller, source, caller.at, depth + 1)
        return self._evaluate(context, only.index, only.effect, depth + 1)

    def entering(self, context: Context, register: str) -> int | None:
        """What a function received in an argument register, where it or its caller still has it."""
        value = self.value(context, register, 0)
        if value is not None:
            return value
        # Functions copy what they need after a call to a register that calls preserve, or spill it.
        for kept in CALLEE_SAVED:
            if kept in context.registers and self._is_copy(context, kept, register):
                return context.registers[kept]
        for index, row in enumerate(context.function.instructions[:_PROLOGUE]):
            if row.mnemonic != "mov" or row.operands[0].memory is None:
                continue
            slot = slot_of(context.function, index, row.operands[0].memory)
            if slot is None or row.operands[1].register != register:
                continue
            found = self.definitions(context.function, slot, context.at)
            if found is not None and [one.index for one in found] == [index]:
                return self.slot_value(context, slot)
        return None

    def _is_copy(self, context: Context, place: Place, register: str) -> bool:
        """Whether a place holds at the context's end what the function received in a register."""
        at = context.at
        for _ in range(_MOST_COPIES):
            found = self.definitions(context.function, place, at)
            if found is None or len(found) != 1:
                return False
            only = found[0]
            if only.effect is None:
                return place == register
            if not isinstance(only.effect, Copy) or only.effect.delta or only.effect.bits < 64:
                return False
            place, at = only.effect.source, only.index
        return False

    def slot_value(self, context: Context, slot: Slot) -> int | None:
        """What a slot of the frame holds in the dump."""
        if context.base is None:
            return None
        return self._number(context.base + slot.offset, 8, signed_=False)

    def _number(self, address: int, size: int, *, signed_: bool) -> int | None:
        data = self.reader.read(address & MASK, size)
        if data is None:
            return None
        number = int.from_bytes(data, "little")
        return signed(number, size * 8) & MASK if signed_ else number

    def address(self, context: Context, memory: Memory, at: int, depth: int = 0) -> int | None:
        """What a memory operand comes to before instruction ``at``."""
        total = memory.displacement
        if memory.segment:
            start = context.segments.get(memory.segment)
            if start is None:
                return None
            total += start
        if memory.base == "rip":
            total += context.function.instructions[at].end
        elif memory.base:
            base = self.value(context, memory.base, at, depth)
            if base is None:
                return None
            total += base
        if memory.index:
            index = self.value(context, memory.index, at, depth)
            if index is None:
                return None
            total += index * memory.scale
        return total & MASK

    def _evaluate(self, context: Context, at: int, what: Effect, depth: int) -> int | None:
        if isinstance(what, Constant):
            return what.value
        if isinstance(what, Copy):
            value = self.value(context, what.source, at, depth)
            return None if value is None else _narrowed(value, what)
        if isinstance(what, Load):
            address = self.address(context, what.memory, at, depth)
            if address is None:
                return None
            return self._number(address, what.memory.size, signed_=what.signed)
        return None

    def _outwards(self, context: Context, place: Place) -> tuple[Context | None, Place | None]:
        """The caller, and the place there that an incoming place is; ``None`` if it is none."""
        caller = context.caller()
        if caller is None:
            return None, None
        if isinstance(place, Slot):
            if context.base is None or caller.base is None or place.offset < 0:
                return caller, None
            return caller, Slot(context.base + place.offset - caller.base)
        return caller, place if place in ARGUMENTS or place in CALLEE_SAVED else None

    def _refuted(
        self, context: Context, place: Place, one: _Definition, value: int | None
    ) -> bool | None:
        """Whether the dump contradicts that this definition gave the value; ``None``: cannot say.

        Memory may have changed since, so this serves to choose between several ways only.
        """
        if value is None:
            return None
        came = self._came(context, place, one)
        return None if came is None else came != value

    def _choose(
        self, context: Context, place: Place, found: list[_Definition], value: int | None
    ) -> tuple[_Definition | None, bool]:
        """The definition that agrees with the value, and whether it was the only one."""
        if len(found) == 1:
            return found[0], True
        # A loop that steps through memory: where it began is what matters.
        begun = [one for one in found if not _steps(one, place)]
        if len(begun) == 1 and self._walks(context, place, begun[0], value):
            return begun[0], False
        verdicts = [(one, self._refuted(context, place, one, value)) for one in found]
        left = [one for one, refuted in verdicts if refuted is not True]
        if len(left) == 1:
            return left[0], False
        confirmed = [one for one, refuted in verdicts if refuted is False]
        # Zero and other small numbers are found in many places; an address that agrees is none of
        # chance.
        if len(confirmed) == 1 and value is not None and value >> 32:
            return confirmed[0], False
        return None, False

    def _walks(self, context: Context, place: Place, begun: _Definition, value: int | None) -> bool:
        """Whether stepping from where it began can have come to the value."""
        came = self._came(context, place, begun)
        return came is None or value is None or abs(value - came) < FARTHEST_WALK

    def _came(self, context: Context, place: Place, one: _Definition) -> int | None:
        """What a definition gives, as far as the dump tells."""
        if one.effect is None:
            caller, source = self._outwards(context, place)
            if caller is None or source is None:
                return None
            return self.value(caller, source, caller.at, 1)
        return self._evaluate(context, one.index, one.effect, 1)

    def _before_in_list(
        self, context: Context, place: Place, at: int, value: int | None
    ) -> int | None:
        """Where ``mov reg, [reg + next]`` in a loop read a value, by walking from the first entry.

        :return: address of the pointer that led to ``value``; ``None`` where it is not to be found
        """
        found = self.definitions(context.function, place, at)
        row = context.function.instructions[at]
        memory = next((o.memory for o in row.operands if o.memory), None)
        if value is None or memory is None or found is None:
            return None
        heads = {
            came
            for one in found
            if one.index != at and (came := self._came(context, place, one)) is not None
        }
        for head in heads:
            entry = head
            seen: set[int] = set()
            while entry not in seen and len(seen) < MOST_LIST_ENTRIES:
                seen.add(entry)
                following = self._number(entry + memory.displacement, 8, signed_=False)
                if following is None:
                    break
                if following == value:
                    return (entry + memory.displacement) & MASK
                entry = following
        return None

    def trace(self, context: Context, place: Place, at: int, value: int | None) -> list[Move]:
        """The way of a value, back to the load, the constant or the call that it came from.

        :param value: what the place held before instruction ``at``
        """
        moves: list[Move] = []
        last = value
        while len(moves) < MOST_STEPS:
            last = value if value is not None else last
            found = self.definitions(context.function, place, at)
            if not found:
                why = "no way leads here" if found is not None else "too many ways lead here"
                moves.append(Move(How.LOST, context, at, place, None, value, why=why))
                return moves
            one, certain = self._choose(context, place, found, value)
            if one is None:
                saved = self._saved_argument(context, last)
                if saved is not None:
                    moves.append(saved)
                    context, place, at, value = saved.context, str(saved.source), saved.index, last
                    continue
                where = sorted({row.index for row in found})
                why = f"{len(where)} ways lead here, and the dump does not tell which was taken"
                moves.append(Move(How.LOST, context, at, place, None, value, why=why))
                return moves
            if len(found) > 1 and any(_steps(other, place) for other in found):
                value = self._came(context, place, one)
            if one.effect is None:
                caller, source = self._outwards(context, place)
                if caller is None or source is None:
                    why = "was set before the function was entered"
                    moves.append(Move(How.LOST, context, 0, place, None, value, why=why))
                    return moves
                moves.append(
                    Move(How.PASSED, caller, caller.at, place, source, value, certain=certain)
                )
                context, place, at = caller, source, caller.at
                continue
            move, onwards = self._step(context, place, one, value, certain=certain)
            if move.how is How.LOADED and move.address is None:
                saved = self._saved_argument(context, last)
                if saved is not None:
                    moves.append(saved)
                    context, place, at, value = saved.context, str(saved.source), saved.index, last
                    continue
            moves.append(move)
            if onwards is None:
                return moves
            place, at, value = onwards[0], one.index, onwards[1]
        return moves

    def _saved_argument(self, context: Context, value: int | None) -> Move | None:
        """Where a variadic function on the way here saved an argument that is this very value."""
        if value is None or not value >> 32:
            return None
        outer: Context | None = context
        for _ in range(_VARIADIC_CALLS):
            outer = outer.caller() if outer is not None else None
            if outer is None or outer.base is None:
                return None
            code = outer.function
            for index, row in enumerate(code.instructions[:_PROLOGUE]):
                if row.mnemonic != "mov" or row.operands[0].memory is None:
                    continue
                register = row.operands[1].register
                slot = slot_of(code, index, row.operands[0].memory)
                if slot is None or register not in ARGUMENTS:
                    continue
                if self.slot_value(outer, slot) == value and self._only_entry(
                    code, register, index
                ):
                    return Move(
                        How.SAVED,
                        outer,
                        index,
                        slot,
                        register,
                        value,
                        address=(outer.base + slot.offset) & MASK,
                        found=value,
                        certain=False,
                    )
        return None

    def _step(
        self, context: Context, place: Place, one: _Definition, value: int | None, *, certain: bool
    ) -> tuple[Move, tuple[Place, int | None] | None]:
        """One definition as a move, and the place and value to go on with."""
        what = one.effect
        if isinstance(what, Either):
            what, certain = self._either(context, place, one.index, what, value)
        if isinstance(what, Constant):
            move = Move(How.SET, context, one.index, place, None, what.value, certain=certain)
            return move, None
        if isinstance(what, Returned):
            return Move(How.RETURNED, context, one.index, place, None, value, certain=certain), None
        if isinstance(what, Load):
            address = self.address(context, what.memory, one.index)
            if address is None and what.memory.base == place and not what.memory.index:
                address = self._before_in_list(context, place, one.index, value)
            now = None
            if address is not None:
                now = self._number(address, what.memory.size, signed_=what.signed)
            move = Move(
                How.LOADED,
                context,
                one.index,
                place,
                None,
                value,
                load=what,
                address=address,
                found=now,
                certain=certain,
            )
            return move, None
        if isinstance(what, Copy):
            before = None if value is None else (value - what.delta) & MASK
            if what.bits < 64:
                before = None
            if before is None:
                before = self.value(context, what.source, one.index)
            how = How.COMPUTED if what.delta else How.COPIED
            address = found = None
            if isinstance(what.source, Slot):
                how = How.RELOADED
                if context.base is not None:
                    address = (context.base + what.source.offset) & MASK
                    found = self._number(address, 8, signed_=False)
            move = Move(
                how,
                context,
                one.index,
                place,
                what.source,
                value,
                address=address,
                found=found,
                certain=certain,
            )
            return move, (what.source, before)
        why = what.why if isinstance(what, Lost) else "not followed"
        return Move(How.LOST, context, one.index, place, None, value, why=why), None

    def _either(
        self, context: Context, place: Place, at: int, what: Either, value: int | None
    ) -> tuple[Effect, bool]:
        """Which of two ``cmov`` took: the one that agrees with the value."""
        verdicts = [
            (one, self._refuted(context, place, _Definition(at, one), value))
            for one in (what.first, what.second)
        ]
        left = [one for one, refuted in verdicts if refuted is not True]
        if len(left) == 1:
            return left[0], False
        return Lost("one of two, and the dump does not tell which"), False

    def saved_registers(self, context: Context) -> dict[str, int]:
        """The caller's callee-saved registers: unchanged here, or saved in this frame."""
        function = context.function
        result: dict[str, int] = {}
        for register in CALLEE_SAVED:
            if self._only_entry(function, register, context.at):
                if register in context.registers:
                    result[register] = context.registers[register]
                continue
            saved = self._saved_in(function, register)
            if saved is None or context.base is None:
                continue
            value = self._number(context.base + saved.offset, 8, signed_=False)
            if value is not None:
                result[register] = value
        return result

    def _only_entry(self, function: Function, register: str, at: int) -> bool:
        found = self.definitions(function, register, at)
        return found is not None and [row.index for row in found] == [ENTRY]

    def _saved_in(self, function: Function, register: str) -> Slot | None:
        """The slot where the function's beginning saves a register."""
        for index, row in enumerate(function.instructions[:_PROLOGUE]):
            if row.mnemonic == "push" and row.operands[0].register == register:
                depth = function.depth[index]
                if depth is not None and self._only_entry(function, register, index):
                    return Slot(-(depth + 8))
            if (
                row.mnemonic == "mov"
                and row.operands[0].memory is not None
                and row.operands[1].register == register
            ):
                slot = slot_of(function, index, row.operands[0].memory)
                if slot is not None and self._only_entry(function, register, index):
                    return slot
        return None


# seq_printf, seq_vprintf, vsnprintf: so many calls carry a list of arguments.
_VARIADIC_CALLS = 4
# Functions save registers at their start; one that leaves early may do so later.
_PROLOGUE = 400
_MOST_COPIES = 4


def _steps(one: _Definition, place: Place) -> bool:
    """Whether a definition only adds a constant to what the place held."""
    return isinstance(one.effect, Copy) and one.effect.source == place and one.effect.delta != 0


def _narrowed(value: int, what: Copy) -> int:
    if what.bits < 64:
        value &= (1 << what.bits) - 1
        if what.signed:
            value = signed(value, what.bits)
    return (value + what.delta) & MASK

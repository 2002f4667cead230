"""What registers and stack slots held at an instruction, as far as code and dump tell."""

from __future__ import annotations

from oopsight.evidence.flow import Reader
from oopsight.evidence.flow.arithmetic import compute
from oopsight.evidence.flow.callees import Functions, no_functions, returns
from oopsight.evidence.flow.code import MOST_VISITED, Function, leads_to, repeated
from oopsight.evidence.flow.effects import (
    MASK,
    Constant,
    Copy,
    Effect,
    Load,
    Operation,
    Place,
    Slot,
    effect,
    narrowed,
    slot_of,
    sources_of,
)
from oopsight.evidence.flow.history import LOW, history
from oopsight.evidence.flow.instructions import ARGUMENTS, CALLEE_SAVED, Memory
from oopsight.evidence.flow.lookups import entries, is_lookup
from oopsight.evidence.flow.moves import Context, Definition
from oopsight.kernel.addresses import signed

DEEPEST_VALUE = 12
ENTRY = -1
# Functions save registers at their start; one that leaves early may do so later.
PROLOGUE = 400
_MOST_COPIES = 4
MOST_CANDIDATES = 60_000
"""Values computed by :mod:`~oopsight.evidence.flow.candidates` for one crash: a second's work."""
# Assembly routines that leave every register as it was (arch/x86/kernel/ftrace_64.S,
# arch/x86/entry/thunk_64.S).
_PRESERVING = ("__fentry__", "ftrace_", "preempt_schedule", "__SCT__preempt", "__cond_resched_")


class Values:
    """Values in contexts; reads memory through ``reader``."""

    def __init__(self, reader: Reader, functions: Functions = no_functions) -> None:
        self.reader = reader
        self._functions = functions
        self.budget = MOST_CANDIDATES
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

    def definitions(self, function: Function, place: Place, at: int) -> list[Definition] | None:
        """All the instructions that may have given the place its value before instruction ``at``.

        :return: ``None`` where there are too many ways to look at
        """
        found: dict[int, Definition] = {}
        seen = {at}
        work = [at]
        while work:
            index = work.pop()
            if index == 0:
                found[ENTRY] = Definition(ENTRY, None)
            for other in function.before[index]:
                if other in found:
                    continue
                done = self._effect(function, other, place)
                if done is not None:
                    found[other] = Definition(other, done)
                elif other not in seen:
                    seen.add(other)
                    work.append(other)
            if len(seen) > MOST_VISITED:
                return None
        return list(found.values())

    def _kept(self, function: Function, place: Place, at: int, end: int) -> bool:
        """Whether a place was left alone from the last pass through ``at`` to that through ``end``.

        :param end: an instruction that was carried out, or was about to be
        """
        if at == end:
            return True
        # What may be carried out after the last pass through ``at``, and on the way to the end.
        ahead = {at}
        work = [at]
        while work:
            for other in function.after[work.pop()]:
                if other not in ahead:
                    ahead.add(other)
                    work.append(other)
                    if len(ahead) > MOST_VISITED:
                        return False
        behind: set[int] = set()
        work = [end]
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

    def history(self, context: Context) -> dict[int, dict[str, int]]:
        """What is known of the registers before each of the instructions just carried out."""
        if context.history is None:
            code = context.function
            calls = [index for index, row in enumerate(code.instructions) if row.is_call]
            preserving = frozenset(index for index in calls if self._preserves(code, index))
            context.history = history(code, context.at, context.registers, preserving)
        return context.history

    def _remembered(self, context: Context, place: Place, at: int) -> int | None:
        """What a place held before ``at``, where it or what was made of it is still there."""
        code, states = context.function, self.history(context)
        if isinstance(place, Slot):
            kept = self._kept(code, place, at, context.at)
            return self.slot_value(context, place) if kept else None
        if at in states:
            return states[at].get(place)
        # The last instruction before the history begins and the machine's state, which is more
        # where what lies between has overwritten something.
        for end in (context.at, next(reversed(states))):
            if place in states[end] and self._kept(code, place, at, end):
                return states[end][place]
        return None

    def value(self, context: Context, place: Place, at: int, depth: int = 0) -> int | None:
        """What the place held before instruction ``at``, as far as the dump tells.

        Registers of the context, where nothing changed the place since or what changed it can be
        undone; else computed from its definition, memory taken as it is in the dump.
        """
        if depth > DEEPEST_VALUE:
            return None
        if place == "rsp":
            below = context.function.depth[at]
            if context.base is not None and below is not None:
                return context.base - below
            # Aligned by ``and rsp, -64``: how deep the frame is differs from call to call.
            if self._kept(context.function, place, at, context.at):
                return context.registers.get(place)
            return None
        if (place, at) not in context.values:
            context.values[place, at] = None  # what is computed of itself is not known
            context.values[place, at] = self._value(context, place, at, depth)
        return context.values[place, at]

    def _value(self, context: Context, place: Place, at: int, depth: int) -> int | None:
        known = self._remembered(context, place, at)
        if known is not None:
            return known
        found = self.definitions(context.function, place, at)
        if found is None or len(found) != 1:
            return None
        only = found[0]
        if only.effect is None:
            return self.came_in(context, place, depth + 1)
        if self._of_another_pass(context, only, at):
            return None
        value = self.evaluate(context, only.index, only.effect, depth + 1)
        return self._copied(context, place, only.index) if value is None else value

    def _of_another_pass(self, context: Context, one: Definition, at: int) -> bool:
        """Whether a definition was carried out again since, with sources that change in the loop.

        What is known of these is of the last pass.
        """
        code = context.function
        if one.effect is None or not leads_to(code, at, one.index, past=at):
            return False
        if not leads_to(code, one.index, context.at, past=at):
            return False
        sources = (self.definitions(code, place, one.index) for place in sources_of(one.effect))
        return any(
            found is None or any(repeated(code, source.index) for source in found)
            for found in sources
        )

    def _copied(self, context: Context, place: Place, at: int) -> int | None:
        """What an instruction put into a place, where a register that calls preserve has a copy."""
        code = context.function
        if repeated(code, at):
            return None
        for kept in CALLEE_SAVED:
            found = self.definitions(code, kept, context.at) if kept in context.registers else None
            only = found[0] if found is not None and len(found) == 1 else None
            if only is None or not isinstance(only.effect, Copy) or only.effect.bits < 64:
                continue
            if only.effect.source != place:
                continue
            sources = self.definitions(code, place, only.index)
            if sources is not None and [one.index for one in sources] == [at]:
                return (context.registers[kept] - only.effect.delta) & MASK
        return None

    def came_in(self, context: Context, place: Place, depth: int = 0) -> int | None:
        """What a place held when the function was entered, as far as its caller tells."""
        caller, source = self.outwards(context, place)
        if caller is None or source is None:
            return None
        return self.value(caller, source, caller.at, depth)

    def entering(self, context: Context, register: str) -> int | None:
        """What a function received in an argument register, where it or its caller still has it."""
        value = self._remembered(context, register, 0)
        if value is not None:
            return value
        # What is computed anew is from memory that may have changed. Functions copy what they need
        # after a call to a register that calls preserve, or spill it.
        for kept in CALLEE_SAVED:
            if kept in context.registers and self._is_copy(context, kept, register):
                return context.registers[kept]
        for index, row in enumerate(context.function.instructions[:PROLOGUE]):
            if row.mnemonic != "mov" or row.operands[0].memory is None:
                continue
            slot = slot_of(context.function, index, row.operands[0].memory)
            if slot is None or row.operands[1].register != register:
                continue
            found = self.definitions(context.function, slot, context.at)
            if found is not None and [one.index for one in found] == [index]:
                return self.slot_value(context, slot)
        return self.value(context, register, 0)

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
        return self.number(context.base + slot.offset, 8, signed_=False)

    def number(self, address: int, size: int, *, signed_: bool) -> int | None:
        """What memory holds in the dump; of a signed one its 64 bits."""
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

    def evaluate(self, context: Context, at: int, what: Effect, depth: int) -> int | None:
        """What an instruction set its place to."""
        if isinstance(what, Constant):
            return what.value
        if isinstance(what, Copy):
            value = self.value(context, what.source, at, depth)
            if value is None and what.bits <= 32:
                value = self.history(context).get(at, {}).get(f"{LOW}{what.source}")
            return None if value is None else narrowed(value, what)
        if isinstance(what, Load):
            address = self.address(context, what.memory, at, depth)
            if address is None:
                return None
            number = self.number(address, what.memory.size, signed_=what.signed)
            return None if number is None else number - self._counted(context, at, what, address)
        if isinstance(what, Operation):
            inputs = [self.evaluate(context, at, one, depth) for one in what.inputs]
            numbers = tuple(number for number in inputs if number is not None)
            if len(numbers) == len(inputs):
                return compute(what.name, numbers, what.size)
        return None

    def _counted(self, context: Context, at: int, load: Load, address: int) -> int:
        """By how much the function itself has counted up what a load read, since it did so."""
        code, by = context.function, 0
        for index, memory, more in code.counts:
            if memory.size != load.memory.size or leads_to(code, at, context.at, past=index):
                continue
            if leads_to(code, at, index) and self.address(context, memory, index) == address:
                by += more
        return by

    def callees(self, context: Context, at: int) -> list[Context]:
        """What a call called, as it returned: one context for each of its ends."""
        return returns(self, context, at, self._functions)

    def looked_up(self, context: Context, at: int) -> list[int] | None:
        """What a call can have returned, if it is a lookup in a tree which is known."""
        target = context.function.instructions[at].target
        found = None if target is None else self.reader.function(target)
        if found is None or not is_lookup(found[0]):
            return None
        tree = self.value(context, ARGUMENTS[0], at)
        return None if tree is None else entries(self.reader, tree)

    def outwards(self, context: Context, place: Place) -> tuple[Context | None, Place | None]:
        """The caller, and the place there that an incoming place is; ``None`` if it is none."""
        caller = context.caller()
        if caller is None:
            return None, None
        if isinstance(place, Slot):
            if context.base is None or caller.base is None or place.offset < 0:
                return caller, None
            return caller, Slot(context.base + place.offset - caller.base)
        return caller, place if place in ARGUMENTS or place in CALLEE_SAVED else None

    def saved_registers(self, context: Context) -> dict[str, int]:
        """The caller's callee-saved registers: unchanged here, or saved in this frame."""
        function = context.function
        result: dict[str, int] = {}
        for register in CALLEE_SAVED:
            if self.only_entry(function, register, context.at):
                if register in context.registers:
                    result[register] = context.registers[register]
                continue
            saved = self._saved_in(function, register)
            if saved is None or context.base is None:
                continue
            value = self.number(context.base + saved.offset, 8, signed_=False)
            if value is not None:
                result[register] = value
        return result

    def only_entry(self, function: Function, register: str, at: int) -> bool:
        """Whether a register still holds before ``at`` what it held on entry."""
        found = self.definitions(function, register, at)
        return found is not None and [row.index for row in found] == [ENTRY]

    def _saved_in(self, function: Function, register: str) -> Slot | None:
        """The slot where the function's beginning saves a register."""
        for index, row in enumerate(function.instructions[:PROLOGUE]):
            if row.mnemonic == "push" and row.operands[0].register == register:
                depth = function.depth[index]
                if depth is not None and self.only_entry(function, register, index):
                    return Slot(-(depth + 8))
            if (
                row.mnemonic == "mov"
                and row.operands[0].memory is not None
                and row.operands[1].register == register
            ):
                slot = slot_of(function, index, row.operands[0].memory)
                if slot is not None and self.only_entry(function, register, index):
                    return slot
        return None

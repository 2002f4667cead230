"""Walk backwards from a place at an instruction to what it was set from."""

from __future__ import annotations

from oopsight.evidence.flow.candidates import Candidates
from oopsight.evidence.flow.code import Function, repeated
from oopsight.evidence.flow.effects import (
    MASK,
    Constant,
    Copy,
    Effect,
    Either,
    Load,
    Lost,
    Operation,
    Place,
    Returned,
    Slot,
    slot_of,
)
from oopsight.evidence.flow.instructions import ARGUMENTS
from oopsight.evidence.flow.list_walk import walked
from oopsight.evidence.flow.moves import Context, Definition, How, Move
from oopsight.evidence.flow.parts import Part, part
from oopsight.evidence.flow.values import PROLOGUE, Values

MOST_STEPS = 64
FARTHEST_WALK = 1 << 20
_FIRST_PAGE = 4096
# seq_printf, seq_vprintf, vsnprintf: so many calls carry a list of arguments.
_VARIADIC_CALLS = 4
_NESTED_CALLS = 4
"""Between a function that reads a variable through a pointer and the one whose variable it is."""
_CHILDREN = 8
"""Bytes between the two pointers of ``struct rb_node`` to those below it."""


class Tracer(Values):
    """Traces values through contexts."""

    def _refuted(
        self, context: Context, place: Place, one: Definition, value: int | None
    ) -> bool | None:
        """Whether the dump contradicts that this definition gave the value; ``None``: cannot say.

        Memory may have changed since, so this serves to choose between several ways only.
        """
        if value is None:
            return None
        came = self._came(context, place, one)
        # What is computed is of the last pass through a loop; this may be of one before.
        if came is not None and (came == value or not repeated(context.function, one.index)):
            return came != value
        return self._excluded(context, one, value)

    def _excluded(self, context: Context, one: Definition, value: int) -> bool | None:
        """Whether a definition cannot have given a value in any pass; ``None``: cannot say."""
        # Small numbers are found in many places.
        if one.effect is None or not value >> 32:
            return None
        candidates = Candidates(self, context, live=False)
        if value in candidates.of(one.effect, one.index):
            return False
        return True if candidates.complete else None

    def _choose(
        self, context: Context, place: Place, at: int, found: list[Definition], value: int | None
    ) -> tuple[Definition | None, bool]:
        """The definition that agrees with the value, and whether it was the only one.

        :param at: the instruction before which the place is looked at
        """
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
        if self._one_place(context, left or found) or self._same(context, place, at, found):
            one = min(left or found, key=lambda one: one.index)
            return one, len(left) in (0, len(found))
        if value is not None:
            possible = [(one, self._excluded(context, one, value)) for one in left]
            rest = [one for one, excluded in possible if excluded is not True]
            if len(rest) == 1 and (rest[0], False) in possible:
                return rest[0], False
        confirmed = [one for one, refuted in verdicts if refuted is False]
        # Zero and other small numbers are found in many places; an address that agrees is none of
        # chance.
        if len(confirmed) == 1 and value is not None and value >> 32:
            return confirmed[0], False
        return None, False

    def _one_place(self, context: Context, found: list[Definition]) -> bool:
        """Whether all of them read the same memory, as a loop does that looks again and again."""
        loads = [(one.index, one.effect) for one in found if isinstance(one.effect, Load)]
        places = {(self.address(context, what.memory, at), what.memory.size) for at, what in loads}
        return len(loads) == len(found) and len(places) == 1 and None not in next(iter(places))

    def _same(self, context: Context, place: Place, at: int, found: list[Definition]) -> bool:
        """Whether all of them read by the same operand what that still leads to at a place.

        As a function does that may stop to tell tracers, and then loads the same again.
        """
        loads = {one.effect for one in found}
        what = next(iter(loads))
        if len(loads) > 1 or not isinstance(what, Load) or what.memory.base == "rip":
            return False
        parts = [name for name in (what.memory.base, what.memory.index) if name is not None]
        return bool(parts) and all(
            self._effect(context.function, index, part) is None
            for one in found
            for index in self._between(context.function, place, one.index, at)
            for part in parts
        )

    def _between(self, function: Function, place: Place, start: int, end: int) -> set[int]:
        """Instructions on the ways from a definition to where it still holds."""
        ahead: set[int] = set()
        work = list(function.after[start])
        while work:
            at = work.pop()
            if at in ahead or at == end or self._effect(function, at, place) is not None:
                continue
            ahead.add(at)
            work += function.after[at]
        behind: set[int] = set()
        work = list(function.before[end])
        while work:
            at = work.pop()
            if at in ahead and at not in behind:
                behind.add(at)
                work += function.before[at]
        return behind | {start}

    def _walks(self, context: Context, place: Place, begun: Definition, value: int | None) -> bool:
        """Whether stepping from where it began can have come to the value."""
        came = self._came(context, place, begun)
        return came is None or value is None or abs(value - came) < FARTHEST_WALK

    def _came(self, context: Context, place: Place, one: Definition) -> int | None:
        """What a definition gives, as far as the dump tells."""
        if one.effect is None:
            return self.came_in(context, place, 1)
        return self.evaluate(context, one.index, one.effect, 1)

    def _by_value(self, context: Context, load: Load, at: int, value: int | None) -> int | None:
        """Where a load read a value, of all the places that it can have read.

        Of both children of a tree's node that hold it, either tells the node: the first is taken.

        :return: ``None`` where it is in none of them, or in several
        """
        if value is None:
            return None
        candidates = Candidates(self, context)
        holding = [
            address
            for address in candidates.addresses(load.memory, at)
            if self.number(address, load.memory.size, signed_=load.signed) == value
        ]
        # Small numbers are found in many places: then all of them must have been looked at.
        telling = candidates.complete or value >> 32
        if not holding or not telling or max(holding) - min(holding) > _CHILDREN:
            return None
        return min(holding)

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
            one, certain = self._choose(context, place, at, found, value)
            if one is not None and self._written_elsewhere(context, place, one, value):
                why = "was written to through its address"
                moves.append(Move(How.LOST, context, at, place, None, value, why=why))
                return moves
            if one is None:
                saved = self._saved_argument(context, last)
                if saved is not None:
                    moves.append(saved)
                    context, place, at, value = saved.context, str(saved.source), saved.index, last
                    continue
                along = walked(self, context, place, found, value)
                if along:
                    return [*moves, *along]
                where = sorted({row.index for row in found})
                why = f"{len(where)} ways lead here, and the dump does not tell which was taken"
                moves.append(Move(How.LOST, context, at, place, None, value, why=why))
                return moves
            if len(found) > 1 and any(_steps(other, place) for other in found):
                value = self._came(context, place, one)
            if one.effect is None:
                caller, source = self.outwards(context, place)
                if caller is None or source is None:
                    why = "was set before the function was entered"
                    moves.append(Move(How.LOST, context, 0, place, None, value, why=why))
                    return moves
                moves.append(
                    Move(How.PASSED, caller, caller.at, place, source, value, certain=certain)
                )
                context, place, at = caller, source, caller.at
                continue
            if isinstance(one.effect, Operation):
                found_part = part(self, context, one.index, one.effect, value)
                if found_part is not None:
                    certain = certain and found_part.certain
                    moves.append(_computed(context, place, one.index, found_part, value))
                    one, value = Definition(one.index, found_part.what), found_part.value
            move, onwards = self._step(context, place, one, value, certain=certain)
            if move.how is How.LOADED and move.address is None:
                saved = self._saved_argument(context, last)
                if saved is not None:
                    moves.append(saved)
                    context, place, at, value = saved.context, str(saved.source), saved.index, last
                    continue
            moves.append(move)
            if onwards is not None:
                place, at, value = onwards[0], one.index, onwards[1]
                continue
            stored = self._stored(move)
            if stored is None:
                return [*moves, *self._inside(move)]
            context, place, at, value = *stored, move.value
        return moves

    def _written_elsewhere(
        self, context: Context, place: Place, one: Definition, value: int | None
    ) -> bool:
        """Whether a slot holds other than what the function itself put there."""
        if not isinstance(place, Slot) or value is None or one.effect is None:
            return False
        came = self._came(context, place, one)
        # Of a slot for 32 bits the upper half belongs to another.
        return came is not None and bool((came ^ value) & 0xFFFFFFFF)

    def _inside(self, move: Move) -> list[Move]:
        """Where a function that was called read what it returned; empty where that is not clear."""
        value = move.value
        if move.how is not How.RETURNED or value is None:
            return []
        ends = self.callees(move.context, move.index)
        if value and min(value, -value & MASK) < _FIRST_PAGE and len(ends) == 1:
            # strchr() + 1, or container_of(): what it had was NULL.
            way = self.trace(ends[0], "rax", ends[0].at, value)
            return way if way[-1].value == 0 and all(step.certain for step in way) else []
        if value and not value >> 32:
            return []
        # Zero and error codes are what a function has decided to return, if it has a choice.
        if (value == 0 and len(ends) != 1) or 0 < -value & MASK < _FIRST_PAGE:
            return []
        ways = [
            way
            for end in ends
            if (way := self.trace(end, "rax", end.at, value))[-1].how is How.LOADED
            and (_read_for_sure(way) if value == 0 else way[-1].found == way[-1].value is not None)
        ]
        return ways[0] if len(ways) == 1 else []

    def _stored(self, move: Move) -> tuple[Context, Slot, int] | None:
        """The slot in a caller's frame that a value was read from, where that is how it got there.

        Callers hand on addresses of variables of their own, which anybody may have written to: only
        a store that gives this very value counts.
        """
        outer = move.context.caller() if move.how is How.LOADED and move.address else None
        for _ in range(_NESTED_CALLS):
            if outer is None or outer.base is None or move.address is None:
                return None
            depth = outer.function.depth[outer.at]
            slot = Slot(move.address - outer.base)
            if depth is not None and -depth <= slot.offset < 0:
                found = self.definitions(outer.function, slot, outer.at)
                if found is None or len(found) != 1 or found[0].effect is None:
                    return None
                same = self._came(outer, slot, found[0]) == move.value
                return (outer, slot, outer.at) if same and move.value is not None else None
            outer = outer.caller()
        return None

    def _saved_argument(self, context: Context, value: int | None) -> Move | None:
        """Where a variadic function on the way here saved an argument that is this very value."""
        if value is None or not value >> 32:
            return None
        outer: Context | None = context
        for _ in range(_VARIADIC_CALLS):
            # Who jumped on in between, as vprintk() does, saved nothing.
            outer = (outer.caller() or outer.beyond()) if outer is not None else None
            if outer is None or outer.base is None:
                return None
            code = outer.function
            for index, row in enumerate(code.instructions[:PROLOGUE]):
                if row.mnemonic != "mov" or row.operands[0].memory is None:
                    continue
                register = row.operands[1].register
                slot = slot_of(code, index, row.operands[0].memory)
                if slot is None or register not in ARGUMENTS:
                    continue
                if self.slot_value(outer, slot) == value and self.only_entry(code, register, index):
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
        self, context: Context, place: Place, one: Definition, value: int | None, *, certain: bool
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
            # The instruction that faulted gave what it did in a pass before, with other registers.
            address = None
            if one.index != context.at:
                address = self.address(context, what.memory, one.index)
            if address is None:
                address = self._by_value(context, what, one.index, value)
                certain = certain and address is None
            now = None
            if address is not None:
                now = self.number(address, what.memory.size, signed_=what.signed)
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
        if isinstance(what, Copy) and _of_the_frame(context, what.source, one.index):
            # The address of a variable of the function's own.
            return Move(How.SET, context, one.index, place, None, value, certain=certain), None
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
                    found = self.number(address, 8, signed_=False)
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
        computed = f"computed by {context.function.instructions[one.index].text}"
        why = what.why if isinstance(what, Lost) else computed
        return Move(How.LOST, context, one.index, place, None, value, why=why), None

    def _either(
        self, context: Context, place: Place, at: int, what: Either, value: int | None
    ) -> tuple[Effect, bool]:
        """Which of two ``cmov`` took: the one that agrees with the value."""
        verdicts = [
            (one, self._refuted(context, place, Definition(at, one), value))
            for one in (what.first, what.second)
        ]
        left = [one for one, refuted in verdicts if refuted is not True]
        if len(left) == 1:
            return left[0], False
        return Lost("one of two, and the dump does not tell which"), False


def _computed(context: Context, place: Place, at: int, found: Part, value: int | None) -> Move:
    """The step from a computed value to the part of it that is followed."""
    source = found.what.source if isinstance(found.what, Copy) else None
    return Move(found.how, context, at, place, source, value, certain=found.certain)


def _read_for_sure(way: list[Move]) -> bool:
    """Whether a way that ends in memory is the only one, and the dump does not deny it."""
    return way[-1].found in (None, way[-1].value) and all(move.certain for move in way)


def _steps(one: Definition, place: Place) -> bool:
    """Whether a definition only adds a constant to what the place held."""
    what = one.effect
    if isinstance(what, Operation) and what.name in ("add", "sub") and len(what.inputs) == 2:
        held, added = what.inputs
        return isinstance(held, Copy) and held.source == place and isinstance(added, Constant)
    return isinstance(what, Copy) and what.source == place and what.delta != 0


def _of_the_frame(context: Context, place: Place, at: int) -> bool:
    """Whether a register points into the function's frame."""
    return place == "rsp" or (place == "rbp" and context.function.frame_pointer[at] is not None)

"""Follows a value back to where it was read, then the pointer it was read through, and so on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from oopsight.cheap import replace
from oopsight.evidence import Address
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import leads_to
from oopsight.evidence.flow.effects import MASK, Load
from oopsight.evidence.flow.instructions import ARGUMENTS, Memory
from oopsight.evidence.flow.moves import Context, How, Move
from oopsight.evidence.flow.ways import Namer, Way, end_words, step_of
from oopsight.evidence.memory.owner import Owner, owner_of
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.plumbing import base_name
from oopsight.session import Session

if TYPE_CHECKING:
    from drgn import Type

MOST_WAYS = 6
_MOST_CALLBACKS = 4
_MOST_FRAMES = 12
"""Of the crashed stack that are looked at for calls which have returned."""


class Follower:
    """Follows values and names what it finds."""

    pointed_to: tuple[Type, int] | None = None
    """What the value followed last should point to, and how far past its beginning."""

    def __init__(self, session: Session, namer: Namer, found: Calls) -> None:
        self.session = session
        self.namer = namer
        self.calls = found

    def ways(
        self, context: Context, what: str | Memory, value: int | None, at: int | None = None
    ) -> tuple[Way, ...]:
        """Follow a value, then the pointer it was read through, and so on.

        :param at: the instruction before which the value was there, if another than the context's
        """
        chain: list[tuple[str, list[Move], Context]] = []
        seen: set[tuple[int, int, str]] = set()
        place: str | Memory | None = what
        at = context.at if at is None else at
        while place is not None and len(chain) < MOST_WAYS:
            start = context
            if isinstance(place, Memory):
                moves = [self._load(context, at, place)]
                label = "memory"
            else:
                key = (id(context), at, place)
                if key in seen:
                    break
                seen.add(key)
                moves = self.calls.tracer.trace(context, place, at, value)
                label = place
            chain.append((label, moves, start))
            last = moves[-1]
            if last.how is not How.LOADED or last.load is None:
                break
            context, at = last.context, last.index
            base = last.load.memory.base
            if base in (None, "rip", "rsp") or last.load.memory.segment:
                break
            place = base
            value = self.calls.tracer.value(context, base, at) if base else None
            if value is None and last.address is not None and not last.load.memory.index:
                value = (last.address - last.load.memory.displacement) & MASK
        return self._named(chain)

    def _load(self, context: Context, at: int, memory: Memory) -> Move:
        address = self.calls.tracer.address(context, memory, at)
        data = None if address is None else self.calls.reader.read(address, memory.size)
        found = None if data is None else int.from_bytes(data, "little")
        return Move(
            How.LOADED, context, at, "rip", None, found, Load(memory), address=address, found=found
        )

    def _named(self, chain: Sequence[tuple[str, list[Move], Context]]) -> tuple[Way, ...]:
        """Make the ways, the innermost pointer's first: its type tells what the next lies in."""
        result: list[Way] = []
        typed: tuple[Type, int] | None = None
        for label, moves, start in reversed(chain):
            last = moves[-1]
            held_in, name, loaded = self._holder(last, typed)
            steps = []
            inner = start
            for move in moves:
                step = step_of(self.namer, move, inner)
                if move.how is How.RETURNED:
                    step = replace(step, text=end_words(step, None, None, self._callee(move)))
                steps.append(step)
                inner = move.context
            returned = last.how is How.RETURNED
            returned_by = self._callee(last) if returned else None
            steps[-1] = replace(steps[-1], text=end_words(steps[-1], name, held_in, returned_by))
            result.append(
                Way(
                    place=label,
                    value=None if moves[0].value is None else Address(moves[0].value),
                    steps=tuple(steps),
                    ended=last.how.value,
                    why=last.why,
                    function=last.context.function.name,
                    module=self.namer.module(last.context),
                    frame=self.namer.frame(last.context),
                    held_in=held_in,
                    name=name,
                    returned_by=returned_by,
                    returner_module=self._callee_module(last) if returned else None,
                    written_by=self._written_by(last, held_in),
                )
            )
            typed = self._type(moves, start, loaded)
        self.pointed_to = typed
        return tuple(reversed(result))

    def _written_by(self, move: Move, held_in: Owner | None) -> tuple[TrackFrame, ...]:
        """Module functions that were called through a pointer before the value was read."""
        if held_in is None or held_in.kind != "stack" or move.how is not How.LOADED:
            return ()
        return tuple(self._callbacks(move.context, move.index).values())

    def called_back(self, frames: int = _MOST_FRAMES) -> tuple[TrackFrame, ...]:
        """Module functions that the kernel had called through pointers before it came to the fault.

        Those that have returned to functions still on the stack. Empty where a module itself is on
        the way: it comes before them.

        :param frames: that are looked at
        """
        found: dict[str, TrackFrame] = {}
        for context in itertools.islice(self._of_the_kernel(), frames):
            found |= self._callbacks(context, context.at)
        return tuple(found.values())[:_MOST_CALLBACKS]

    def called_within(self, value: int | None) -> tuple[TrackFrame, ...]:
        """As :meth:`called_back`, by functions that have returned themselves.

        Only of what was handed the value, or a pointer of which that is not known.
        """
        found: dict[str, TrackFrame] = {}
        tracer = self.calls.tracer
        for context in self._of_the_kernel():
            for index, row in enumerate(context.function.instructions):
                if not row.is_call or not leads_to(context.function, index, context.at):
                    continue
                given = [tracer.value(context, name, index) for name in ARGUMENTS[:2]]
                if value in given or given[0] is None:
                    for called in tracer.callees(context, index):
                        found |= self._callbacks(called, called.at)
        return tuple(found.values())[:_MOST_CALLBACKS]

    def _of_the_kernel(self) -> Iterator[Context]:
        """Contexts from the fault outwards, up to the first of a module."""
        for position in range(min(len(self.calls.frames), _MOST_FRAMES)):
            context = self.calls.context(position)
            if context is None or self.namer.module(context) is not None:
                return
            yield context

    def _callbacks(self, context: Context, at: int) -> dict[str, TrackFrame]:
        """Module functions that a function called through pointers on its way to an instruction."""
        code = context.function
        found: dict[str, TrackFrame] = {}
        for index, row in enumerate(code.instructions):
            if not row.is_call or len(found) >= _MOST_CALLBACKS:
                continue
            taken = self.calls.taken_from(row)
            if taken is None or not leads_to(code, index, at):
                continue
            target = self._value_of(context, taken, index)
            known = None if target is None else self.calls.reader.function(target)
            owner = self.namer.modules.owner(target) if target and self.namer.modules else None
            if known is not None and owner is not None and target == known[1]:
                found[known[0]] = TrackFrame(Address(target), known[0], owner.name, None)
        return found

    def _value_of(self, context: Context, taken: str | Memory, index: int) -> int | None:
        if isinstance(taken, str):
            return self.calls.tracer.value(context, taken, index)
        address = self.calls.tracer.address(context, taken, index)
        data = None if address is None else self.calls.reader.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")

    def installers(self, held_in: Owner | None) -> tuple[str, ...]:
        """Functions of a module that refer to the table which holds a function pointer.

        Its exit function, which only takes the table back, is not among them; where no other is
        left, its initialisation has put it there.
        """
        from oopsight.evidence.modules.init_function import init_function
        from oopsight.evidence.modules.module_roles import inner_functions, who_fills

        if held_in is None or self.namer.modules is None:
            return ()
        if held_in.slab is not None:
            return who_fills(self.session, self.namer.modules, held_in.slab)
        if held_in.module is None:
            return ()
        module = self.namer.modules.owner(held_in.address)
        if module is None:
            return ()
        begin = held_in.address - (held_in.offset or 0)
        found = inner_functions(self.session, module)
        names = tuple(base_name(one.name) for one in found if begin in one.refers)
        return names or (init_function(self.session, module.name),)

    def name_at(self, context: Context, address: int) -> str | None:
        """What memory at an address is called, as far as symbols and debug information tell."""
        load = Load(Memory(None, None, None, 1, address, 8))
        move = Move(How.LOADED, context, 0, "rip", None, None, load, address=address)
        return self._holder(move, None)[1]

    def _callee(self, move: Move) -> str | None:
        row = move.context.function.instructions[move.index]
        found = None if row.target is None else self.calls.reader.function(row.target)
        if found is None or "x86_indirect" in found[0]:
            return None
        return found[0]

    def _callee_module(self, move: Move) -> str | None:
        target = move.context.function.instructions[move.index].target
        modules = self.namer.modules
        owner = None if target is None or modules is None else modules.owner(target)
        return owner.name if owner is not None else None

    def _holder(
        self, move: Move, typed: tuple[Type, int] | None
    ) -> tuple[Owner | None, str | None, Type | None]:
        """Whose memory a load read, what it is called and what type lies there.

        :param typed: what the pointer it was read through points to, and how far past that object's
            beginning it points
        """
        from oopsight.evidence.flow.type_names import cache_type, member_at, short_name, variable

        if move.how is not How.LOADED or move.load is None or move.address is None:
            return None, None, None
        prog = self.session.prog
        owner = owner_of(self.session, self.namer.modules, move.address)
        if typed is not None:
            kind, beyond = typed
            found = member_at(kind, beyond + move.load.memory.displacement)
            if found is not None and not move.load.memory.index:
                return owner, f"{short_name(kind)}.{found[0]}", found[1]
        if owner.slab is not None and owner.offset is not None:
            slab = owner.slab
            known = None if slab.merged else cache_type(prog, slab.cache, slab.size)
            found = None if known is None else member_at(known, owner.offset)
            if known is not None and found is not None:
                return owner, f"{short_name(known)}.{found[0]}", found[1]
        if owner.symbol is not None and owner.offset is not None:
            begin = owner.address - owner.offset
            if owner.kind == "per-cpu":
                begin = prog.symbol(owner.symbol).address
            of = variable(prog, owner.symbol, begin)
            if of is not None:
                found = member_at(of, owner.offset)
                if found is not None:
                    return owner, f"{owner.symbol}.{found[0]}", found[1]
            plus = f"+{owner.offset:#x}" if owner.offset else ""
            return owner, f"{owner.symbol}{plus}", of if not owner.offset else None
        return owner, None, None

    def _type(
        self, moves: list[Move], start: Context, loaded: Type | None
    ) -> tuple[Type, int] | None:
        """What the value at the beginning of a way points to, and how far past its beginning."""
        from oopsight.evidence.flow.type_names import parameter, pointee, returned, variable

        prog, beyond, inner = self.session.prog, 0, start
        for move in moves:
            added = _delta(move)
            if added is None:
                return None
            beyond += added
            if move.how is How.PASSED:
                if isinstance(move.place, str):
                    code = inner.function
                    found = parameter(prog, code.name, code.start, move.place)
                    kind = pointee(found[1]) if found else None
                    if kind is not None:
                        return kind, beyond
                inner = move.context
            elif move.how is How.SAVED:
                inner = move.context
            elif move.how is How.LOADED:
                kind = pointee(loaded)
                return None if kind is None else (kind, beyond)
            elif move.how is How.RETURNED:
                row = move.context.function.instructions[move.index]
                name = self._callee(move)
                if name is not None and row.target is not None:
                    kind = pointee(returned(prog, name, row.target))
                    return None if kind is None else (kind, beyond)
            elif move.how is How.SET and move.value is not None:
                try:
                    symbol = prog.symbol(move.value)
                except LookupError:
                    return None
                kind = variable(prog, symbol.name, symbol.address)
                inside = move.value - symbol.address
                return None if kind is None else (kind, beyond + inside)
        return None


def _delta(move: Move) -> int | None:
    """What a step added to its source; ``None`` where the type does not survive it."""
    from oopsight.evidence.flow.effects import Copy, Operation, effect

    if move.how not in (How.COMPUTED, How.INDEX, How.PAGE):
        return 0
    what = effect(move.context.function, move.index, move.place)
    if isinstance(what, Operation):
        # Flags in the lowest bits of a pointer are cleared.
        return 0 if what.name == "and" else None
    return what.delta if isinstance(what, Copy) else 0

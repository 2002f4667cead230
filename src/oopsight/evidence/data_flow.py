"""Where the bad value came from: backwards from the fault to the load that brought it.

The value that made the fault is followed through registers, stack slots and calls to where it was
read from memory, returned by a function or set in the code. Then the pointer through which it was
read is followed in the same way, and so on: each :class:`Way` is one such value. Every step has
the instruction, and the memory as it is in the dump; where that no longer agrees with the register,
the step says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass, replace
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.backtrace import Backtrace
from oopsight.evidence.fault import GENERAL_PROTECTION, PAGE_FAULT, Fault
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import MASK, Load
from oopsight.evidence.flow.instructions import ARGUMENTS, Memory
from oopsight.evidence.flow.trace import Context, How, Move
from oopsight.evidence.frames import calls
from oopsight.evidence.modules import Modules
from oopsight.evidence.owner import Owner, owner_of
from oopsight.evidence.pointers import BytesPointer, FramePointer, InstructionPointer
from oopsight.evidence.slab_tracks import TrackFrame
from oopsight.evidence.task import CrashedTask
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.text import printable

if TYPE_CHECKING:
    from drgn import Type

MOST_WAYS = 6
_FARTHEST_MEMBER = 1 << 20
_MOST_CALLBACKS = 4
# Exceptions that a bad value makes, at an access or (invalid_op is BUG and WARN) at a check.
_OF_A_VALUE = (PAGE_FAULT, GENERAL_PROTECTION, "stack_segment", "invalid_op", "alignment_check")
_MOST_INSTRUCTIONS = 4000


@dataclass(frozen=True)
class FlowStep:
    """One step back along the way of a value."""

    how: str
    """A value of :class:`~oopsight.evidence.flow.trace.How`."""
    place: str
    """The register or stack slot that the value went to."""
    value: Address | None
    function: str
    module: str | None
    frame: int
    """In the backtrace."""
    instruction: InstructionPointer
    memory: BytesPointer | None
    """What the memory that was read holds in the dump."""
    agrees: bool | None
    """Whether that is still the value; ``None`` where either is not known."""
    certain: bool
    """Whether code and dump allow no other way; else it is the only one that agrees with both."""
    source: str | None
    """``file:line``, of the steps that matter and where debug information is at hand."""
    text: str
    """In words."""


@dataclass(frozen=True)
class Way:
    """The way of one value, from where it was used back to where it came from."""

    place: str
    """The register where it was used."""
    value: Address | None
    steps: tuple[FlowStep, ...]
    ended: str
    """How it came to be, as far as it could be followed: ``loaded``, ``returned``, ``set`` or
    ``lost``."""
    why: str
    """Why it could not be followed further; empty unless ``lost``."""
    function: str
    """Where it came to be, or where its trace was lost."""
    module: str | None
    frame: FramePointer | None
    held_in: Owner | None
    """Whose memory it was read from."""
    name: str | None
    """What that memory is called: ``kmem_cache.name``, ``telem_current`` …"""
    returned_by: str | None
    """The function that returned it."""
    written_by: tuple[TrackFrame, ...] = ()
    """Functions that were called through pointers before it was read from the caller's stack, and
    so can have left it there."""

    @property
    def certain(self) -> bool:
        """Whether no step was chosen among several."""
        return all(step.certain for step in self.steps)

    @property
    def end(self) -> FlowStep | None:
        """The last step."""
        return self.steps[-1] if self.steps else None

    @property
    def passed_by(self) -> tuple[FlowStep, ...]:
        """The steps from a function into its caller."""
        return tuple(step for step in self.steps if step.how in ("passed", "saved"))

    @property
    def changed(self) -> bool:
        """Whether the memory it was read from now holds something else."""
        return self.end is not None and self.end.how == "loaded" and self.end.agrees is False


@dataclass(frozen=True)
class DataFlow:
    """What is known of the bad value's origin."""

    subject: str
    """What was followed: ``operand`` of the faulting instruction, ``target`` of a call to where no
    code is, or ``argument`` of a function that checks what it is given."""
    checker: str | None
    """For an argument, the function that was given it."""
    ways: tuple[Way, ...]
    """The bad value; the pointer through which that was read; and so on."""
    others: tuple[Way, ...]
    """For an argument, the ways of the further arguments."""
    bad: Owner | None
    """What the bad value itself is."""
    wanted: str | None
    """The member that the faulting instruction wanted, ``struct file.f_mode``."""
    expected: str | None
    """The type that the bad pointer should have pointed to."""
    checker_module: str | None = None
    """The module of :attr:`checker`."""
    installed_by: tuple[str, ...] = ()
    """For a target read from a module's table, that module's functions which refer to the table."""

    @property
    def first(self) -> Way:
        """The bad value's own way."""
        return self.ways[0]


class _Namer:
    """Names and types along the ways of one analysis."""

    def __init__(self, session: Session, modules: Modules | None, backtrace: Backtrace) -> None:
        self.session = session
        self.modules = modules
        self.backtrace = backtrace

    def module(self, context: Context) -> str | None:
        owner = self.modules.owner(context.function.start) if self.modules else None
        return owner.name if owner else None

    def where(self, context: Context) -> str:
        module = self.module(context)
        name = context.function.name
        return f"{name} [{module}]" if module else name

    def frame(self, context: Context) -> FramePointer | None:
        return next((f.pointer for f in self.backtrace.frames if f.index == context.frame), None)

    def source(self, address: int) -> str | None:
        try:
            found = self.session.prog.source_location(address)[0]
        except (LookupError, ValueError, AttributeError, IndexError, SymbolError):
            return None
        return f"{printable(found.filename)}:{found.line}"


def _step(namer: _Namer, move: Move, inner: Context) -> FlowStep:
    row = move.context.function.instructions[move.index]
    instruction = InstructionPointer(Address(row.address), row.bytes.hex(), row.text)
    memory = agrees = None
    if move.address is not None and move.found is not None:
        size = move.load.memory.size if move.load else 8
        data = (move.found & MASK).to_bytes(8, "little")[:size]
        memory = BytesPointer(Address(move.address), data.hex())
        agrees = None if move.value is None else move.found == move.value
    matters = move.how in (How.LOADED, How.PASSED, How.RETURNED, How.SET)
    return FlowStep(
        how=move.how.value,
        place=str(move.place),
        value=None if move.value is None else Address(move.value),
        function=move.context.function.name,
        module=namer.module(move.context),
        frame=move.context.frame,
        instruction=instruction,
        memory=memory,
        agrees=agrees,
        certain=move.certain,
        source=namer.source(row.address) if matters else None,
        text=_words(namer, move, inner),
    )


def _words(namer: _Namer, move: Move, inner: Context) -> str:
    where, place = namer.where(move.context), move.place
    value = "a value that is not known" if move.value is None else f"{move.value:#x}"
    if move.how is How.PASSED:
        found = None
        if isinstance(place, str):
            from oopsight.evidence.type_names import parameter, short_name

            code = inner.function
            found = parameter(namer.session.prog, code.name, code.start, place)
        called = f"{found[0]!r} ({short_name(found[1])})" if found else f"its argument in {place}"
        return f"{where} called {inner.function.name} with {value} as {called}"
    if move.how is How.LOADED:
        at = "memory" if move.address is None else f"{move.address:#x}"
        return f"{where} read {value} from {at} into {place}"
    if move.how is How.RETURNED:
        return f"{where} got {value} returned by a function it called"
    if move.how is How.SET:
        return f"{where} set {place} to {value} itself"
    if move.how is How.RELOADED:
        return f"{where} had kept {value} in its {move.source}"
    if move.how is How.SAVED:
        return f"{where} had {value} among its variable arguments, in {move.source}"
    if move.how is How.COMPUTED:
        row = move.context.function.instructions[move.index]
        return f"{where} computed {value} from {move.source}: {row.text}"
    if move.how is How.LOST:
        return f"in {where}, {place} = {value}: {move.why}"
    return f"{where} copied {value} from {move.source} to {place}"


class _Follower:
    """Follows values and names what it finds."""

    pointed_to: tuple[Type, int] | None = None
    """What the value followed last should point to, and how far past its beginning."""

    def __init__(self, session: Session, namer: _Namer, found: Calls) -> None:
        self.session = session
        self.namer = namer
        self.calls = found

    def ways(self, context: Context, what: str | Memory, value: int | None) -> tuple[Way, ...]:
        """Follow a value, then the pointer it was read through, and so on."""
        chain: list[tuple[str, list[Move], Context]] = []
        seen: set[tuple[int, int, str]] = set()
        place: str | Memory | None = what
        at = context.at
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
                steps.append(_step(self.namer, move, inner))
                inner = move.context
            returned_by = self._callee(last) if last.how is How.RETURNED else None
            steps[-1] = replace(steps[-1], text=_end_words(steps[-1], name, held_in, returned_by))
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
        context, code = move.context, move.context.function
        found: dict[str, TrackFrame] = {}
        for index, row in enumerate(code.instructions):
            if not row.is_call or len(found) >= _MOST_CALLBACKS:
                continue
            taken = self.calls.taken_from(row)
            if taken is None or not _leads_to(code, index, move.index):
                continue
            target = self._value_of(context, taken, index)
            known = None if target is None else self.calls.reader.function(target)
            owner = self.namer.modules.owner(target) if target and self.namer.modules else None
            if known is not None and owner is not None and target == known[1]:
                found[known[0]] = TrackFrame(Address(target), known[0], owner.name, None)
        return tuple(found.values())

    def _value_of(self, context: Context, taken: str | Memory, index: int) -> int | None:
        if isinstance(taken, str):
            return self.calls.tracer.value(context, taken, index)
        address = self.calls.tracer.address(context, taken, index)
        data = None if address is None else self.calls.reader.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")

    def installers(self, held_in: Owner | None) -> tuple[str, ...]:
        """Functions of a module that refer to the table which holds a function pointer."""
        from oopsight.evidence.module_code import functions

        if held_in is None or held_in.module is None or self.namer.modules is None:
            return ()
        module = self.namer.modules.owner(held_in.address)
        if module is None:
            return ()
        begin = held_in.address - (held_in.offset or 0)
        found = functions(self.calls.reader, module)
        return tuple(base_name(one.name) for one in found if begin in one.refers)

    def _callee(self, move: Move) -> str | None:
        row = move.context.function.instructions[move.index]
        found = None if row.target is None else self.calls.reader.function(row.target)
        if found is None or "x86_indirect" in found[0]:
            return None
        return found[0]

    def _holder(
        self, move: Move, typed: tuple[Type, int] | None
    ) -> tuple[Owner | None, str | None, Type | None]:
        """Whose memory a load read, what it is called and what type lies there.

        :param typed: what the pointer it was read through points to, and how far past that object's
            beginning it points
        """
        from oopsight.evidence.type_names import cache_type, member_at, short_name, variable

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
            known = cache_type(prog, owner.slab.cache, owner.slab.size)
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
        from oopsight.evidence.type_names import parameter, pointee, returned, variable

        prog, beyond, inner = self.session.prog, 0, start
        for move in moves:
            if move.how is How.COMPUTED:
                beyond += _delta(move)
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


def _leads_to(code: Function, index: int, other: int) -> bool:
    """Whether one instruction may be carried out some time after another."""
    seen = {index}
    work = [index]
    while work and len(seen) < _MOST_INSTRUCTIONS:
        for following in code.after[work.pop()]:
            if following == other:
                return True
            if following not in seen:
                seen.add(following)
                work.append(following)
    return False


def _delta(move: Move) -> int:
    """What a step added to its source."""
    from oopsight.evidence.flow.effects import Copy, effect

    what = effect(move.context.function, move.index, move.place)
    return what.delta if isinstance(what, Copy) else 0


def _end_words(
    step: FlowStep, name: str | None, held_in: Owner | None, returned_by: str | None
) -> str:
    where = f"{step.function} [{step.module}]" if step.module else step.function
    value = "the value" if step.value is None else str(step.value)
    if step.how == "returned" and returned_by:
        return f"{where} got {value} from {returned_by}"
    if step.how != "loaded" or held_in is None:
        return step.text
    thing = f"{name} at {held_in.address}" if name else f"{held_in.address}"
    if held_in.kind in ("slab", "stack", "vmalloc", "free-page"):
        thing = f"{thing} ({held_in.detail})"
    elif held_in.kind == "per-cpu":
        thing = f"{thing} (per-CPU data)"
    elif held_in.module is not None:
        thing = f"{thing} ({held_in.module}'s data)"
    still = ""
    if step.agrees is False and step.memory is not None:
        now = int.from_bytes(bytes.fromhex(step.memory.bytes), "little")
        still = f"; by the time of the dump it held {now:#x}"
    return f"{where} read {value} from {thing}{still}"


def _start(fault: Fault, found: Calls) -> tuple[Context, str | Memory, int | None, str] | None:
    """Context, what to follow, its value, and what it is called."""
    if found.frames and found.frames[0].no_code:
        taken = found.jump_nowhere()
        if taken is None:
            return None
        return taken[0], taken[1], int(fault.pc), "target"
    context = found.context(0)
    if context is None:
        return None
    row = context.function.instructions[context.at]
    if row.mnemonic in ("call", "jmp") and row.operands and row.operands[0].register:
        register = row.operands[0].register
        return context, register, context.registers.get(register), "target"
    place = bad_register(fault, context)
    if place is None:
        return None
    return context, place, context.registers.get(place), "operand"


def _wanted(fault: Fault, typed: tuple[Type, int] | None) -> tuple[str | None, str | None]:
    """The member at the operand's displacement, and the type that holds it."""
    from oopsight.evidence.type_names import member_at, short_name

    if typed is None or fault.operand is None:
        return None, None
    kind, beyond = typed
    found = member_at(kind, beyond + fault.operand.displacement)
    name = short_name(kind).removeprefix("const ")
    return (f"{name}.{found[0]}" if found else None), name


def bad_register(fault: Fault, context: Context) -> str | None:
    """The register that made the operand's address bad: base or index, or a string pointer."""
    row = context.function.instructions[context.at]
    memories = [operand.memory for operand in row.operands if operand.memory is not None]
    memories = [memory for memory in memories if memory.segment not in ("gs", "fs")]
    if not memories:
        return None
    chosen = memories[0]
    if len(memories) > 1 and fault.address is not None:
        # movs has two: the one whose address faulted.
        near = [
            memory
            for memory in memories
            if memory.base in context.registers
            and abs(context.registers[memory.base] - fault.address) < 64
        ]
        chosen = near[0] if near else chosen
    base, index = chosen.base, chosen.index
    if base in (None, "rip", "rsp"):
        return index
    if index is None:
        return base
    # Both take part: whichever is no address by itself while the other is one.
    values = [context.registers.get(name) for name in (base, index)]
    if values[0] is not None and values[1] is not None:
        base_is_kernel = values[0] >> 47 == 0x1FFFF
        index_is_kernel = values[1] >> 47 == 0x1FFFF
        small = values[1] < _FARTHEST_MEMBER
        if base_is_kernel and not index_is_kernel and not small:
            return index
        if index_is_kernel and not base_is_kernel:
            return base
    return base


def _argument(
    found: Calls, backtrace: Backtrace, follower: _Follower
) -> tuple[tuple[str, int], tuple[Way, ...], tuple[Way, ...]] | None:
    """The arguments that the innermost function to blame handed to what found fault with them."""
    plumbing = {f.index: f.plumbing for f in backtrace.crash_path if not f.inline}
    position = next(
        (number for number, f in enumerate(found.frames) if plumbing.get(f.index) is None), 0
    )
    context = found.context(position) if position else None
    if context is None:
        return None
    call = context.function.instructions[context.at]
    target = None if call.target is None else found.reader.function(call.target)
    if target is None or "x86_indirect" in target[0]:
        return None
    results = [
        follower.ways(context, register, found.tracer.value(context, register, context.at))
        for register in ARGUMENTS[:2]
    ]
    return target[:2], results[0], tuple(ways[0] for ways in results[1:] if ways)


def collect(
    session: Session,
    fault: Fault,
    backtrace: Backtrace,
    modules: Modules | Missing,
    task: CrashedTask | Missing,
) -> DataFlow | Missing:
    """Follow the bad value of a memory access or call; of a failed check, the arguments."""
    if fault.exception not in _OF_A_VALUE:
        return Missing(Why.NOT_APPLICABLE, "no value made the machine stop there")
    known = None if isinstance(modules, Missing) else modules
    # A jump to an address that is not canonical is a general protection fault, at the target or
    # at the jump, as the CPU likes.
    nowhere = fault.exception == GENERAL_PROTECTION and fault.code is None
    no_code = (fault.exception == PAGE_FAULT and fault.address == fault.pc) or nowhere
    cpu = None if isinstance(task, Missing) else task.cpu
    found = calls(session, backtrace, cpu, no_code=no_code)
    follower = _Follower(session, _Namer(session, known, backtrace), found)
    start = _start(fault, found)
    if start is not None:
        context, what, value, subject = start
        ways = follower.ways(context, what, value)
        if ways:
            bad = None if value is None else owner_of(session, known, value)
            wanted, expected = _wanted(fault, follower.pointed_to)
            installed = follower.installers(ways[0].held_in) if subject == "target" else ()
            return DataFlow(subject, None, ways, (), bad, wanted, expected, installed_by=installed)
    if fault.operand is None or fault.operand.address is None:
        given = _argument(found, backtrace, follower)
        if given is not None and given[1]:
            (checker, checker_at), ways, others = given
            owner = known.owner(checker_at) if known else None
            value = ways[0].value
            bad = None if value is None else owner_of(session, known, value)
            module = owner.name if owner else None
            return DataFlow("argument", checker, ways, others, bad, None, None, module)
    return Missing(Why.NOT_APPLICABLE, "the faulting instruction has no operand to follow")

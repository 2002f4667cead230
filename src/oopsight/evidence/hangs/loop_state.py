"""What ends the loop that a CPU is caught in, and who else of the module changes that.

``while (ring->tail != ring->head)`` is right as long as another function has left both within the
ring's size. Where such a loop goes on from turn to turn and does not end, it runs on a state that
others made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.conditions import NumberAt
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.handed_to import handed_to
from oopsight.evidence.hangs.left_claims import keeping_bits
from oopsight.evidence.hangs.loop_changers import Changers, FieldAt, changers, uncounted
from oopsight.evidence.hangs.stacks import COLD, Call, StackReader, register
from oopsight.evidence.hangs.unset_ends import Unset, leaving_unset
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.doers import wiping
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.module_roles import allocates, inner_functions, start_and_end
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_ahead import resolve
from oopsight.kernel.code_locks import Function
from oopsight.kernel.held_locks import Place
from oopsight.kernel.loop_ends import LoopEnd, inner_loop, loop_end
from oopsight.kernel.loops import loop_at
from oopsight.kernel.machine_code import (
    MASK,
    REGISTERS,
    accessed_size,
)
from oopsight.kernel.run_on import reads_ahead
from oopsight.kinds import Kind
from oopsight.plumbing import base_name
from oopsight.session import Session

_KINDS = (Kind.SOFT_LOCKUP, Kind.RCU_STALL)
_MOST_LOOPS = 4
_MOST_FIELDS = 16


@dataclass(frozen=True)
class LoopState:
    """A loop, and what it goes by."""

    task: TaskPointer
    function: str
    module: ModulePointer
    by_itself: bool
    """Whether only what the function counts itself, or was given, ends it."""
    stands_still: bool
    """Whether some way round it changes nothing of what ends it."""
    fields: tuple[BytesPointer, ...]
    """The numbers in memory that end it."""
    names: tuple[str, ...]
    """What is known of their names."""
    replaces: tuple[str, ...]
    """Other functions of the module that put something else in one of these."""
    advances: tuple[str, ...]
    """Others that only make the next number of the last."""
    unlimited: tuple[str, ...] = ()
    """Those of them that keep it within no limit, where the loop does so with what it counts."""
    zeros: tuple[BytesPointer, ...] = ()
    """Zeros that the loop is at: numbers that end it, at a place which changes by turns."""
    wipes: tuple[str, ...] = ()
    """Others that fill with zeros what is in use, if there are such zeros."""
    stride: int | None = None
    """By how much it goes on at once, where it may step over the number that it should meet."""
    uneven: tuple[str, ...] = ()
    """Others that go on by another number than that, if some go on by that."""
    given: bool = False
    """Whether who called the function gave it a number that ends it."""
    remaining: int | None = None
    """Turns that it would still have to take by its own count."""
    narrow: tuple[int, int] | None = None
    """How far it can count, where that is less than the number that it counts to; and that."""
    lowering: tuple[str, ...] = ()
    """Those of them that take from a number which is below zero, if it has a sign."""
    keeps: tuple[str, ...] = ()
    """Others that can return and leave a bit set that the loop looks for to be clear."""
    fills: tuple[str, ...] = ()
    """Others that put something into what the loop has found for them, and count nothing, as some
    do."""
    unset: Unset = Unset((), as_others=False)
    """Others that make the object with a field that ends it and is zero, and do not set that."""


@dataclass(frozen=True)
class LoopStates:
    """Of each CPU that loops in a module's function."""

    loops: tuple[LoopState, ...]

    def of(self, task: int, function: str) -> LoopState | None:
        """That of a function on the stack of a task, by its address."""
        return next(
            (x for x in self.loops if (x.task.address, x.function) == (task, function)), None
        )


def collect(
    session: Session, symptom: Symptom, cpus: Cpus | Missing, modules: Modules
) -> LoopStates | Missing:
    """Read the code of the modules whose functions CPUs were caught in."""
    if symptom.kind not in _KINDS or isinstance(cpus, Missing):
        return Missing(Why.NOT_APPLICABLE, "no CPU was reported to loop")
    caught = [(cpu, call) for cpu in cpus.cpus if (call := _caught(cpu)) is not None]
    reader = StackReader(session, modules)
    found = [_state(session, reader, modules, *one) for one in caught[:_MOST_LOOPS]]
    return LoopStates(tuple(one for one in found if one is not None))


def _caught(cpu: Cpu) -> Call | None:
    call = cpu.stack.looping
    counts = call is not None and call.module and call.in_loop
    return call if counts else None


def _state(
    session: Session, reader: StackReader, modules: Modules, cpu: Cpu, call: Call
) -> LoopState | None:
    module = next((one for one in modules.loaded if one.name == call.module), None)
    function = reader.function(call.pc - call.offset)
    end = loop_end(function, call.pc) if function is not None else None
    if module is None or function is None or end is None:
        return None
    fields = [
        one._replace(at=one.at._replace(handlers=handed_to(session, one.at.address, module)))
        for one in _fields(session, reader, function, cpu, call, end)
    ]
    keeps: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    made = Changers()
    if fields:
        try:
            code = dict(_others(session, reader, module, function))
        except SymbolError:
            code = {}
        keeps = keeping_bits(reader, code, function, inner_loop(function, call.pc))
        if end.elsewhere:
            memory = SessionReader(session)
            uses = uses_of(memory, inner_functions(session, module, memory))
            fills = uncounted(uses, code, function.start)
        made = changers(code, function, fields, end, reader.names.function_at)
    names = (reader.names.data(one.at.address) for one in fields if one.raw is not None)
    zeros = tuple(_zeros(session, reader, function, cpu, call, end))
    return LoopState(
        task=cpu.task,
        function=call.function,
        module=module.pointer,
        by_itself=end.by_itself,
        stands_still=end.stands_still,
        fields=tuple(
            BytesPointer(Address(one.at.address), one.raw.hex())
            for one in fields
            if one.raw is not None
        ),
        names=tuple(dict.fromkeys(name for name in names if name is not None)),
        replaces=made.replaces,
        advances=made.advances,
        unlimited=made.unlimited,
        lowering=made.lowering,
        zeros=zeros,
        wipes=_wiping(session, module, call) if zeros else (),
        fills=fills,
        stride=end.stride,
        uneven=made.uneven,
        given=end.given,
        keeps=keeps,
        remaining=_remaining(session, reader, cpu, call, end),
        narrow=_narrow(session, reader, cpu, call, end),
        unset=leaving_unset(
            session,
            modules,
            module,
            [(one.at.address, one.size) for one in fields if one.raw and not any(one.raw)],
        ),
    )


def _zeros(
    session: Session,
    reader: StackReader,
    function: Function,
    cpu: Cpu,
    call: Call,
    end: LoopEnd,
) -> Iterator[BytesPointer]:
    """What the loop goes on to read, from the registers that it was interrupted with."""
    from drgn import FaultError

    frames = _frames(session, reader, cpu)
    if not end.elsewhere or not call.interrupted or call.index >= len(frames):
        return

    def memory(address: int, size: int) -> bytes | None:
        try:
            return session.read(address, size)
        except (FaultError, OverflowError):
            return None

    held = {name: register(frames[call.index], name) for name in REGISTERS}
    known = {name: value for name, value in held.items() if value is not None}
    for row, address in reads_ahead(loop_at(function, call.pc), known, memory):
        raw = memory(address, accessed_size(row) or 1) if row.address in end.elsewhere else None
        if raw is not None and not any(raw):
            yield BytesPointer(Address(address), raw.hex())


def _remaining(
    session: Session, reader: StackReader, cpu: Cpu, call: Call, end: LoopEnd
) -> int | None:
    """How often the loop would still go round, from the registers it was interrupted with."""
    frames = _frames(session, reader, cpu)
    if call.index >= len(frames):
        return None
    found = []
    for counter, limit, size, _ in end.bounds:
        at = reader.value(frames, call.index, counter)
        last = reader.value(frames, call.index, limit) if limit is not None else 0
        if at is not None and last is not None:
            away = last - at if limit is not None else at
            found.append(away & ((1 << 8 * size) - 1))
    return min(found, default=None)


def _narrow(
    session: Session, reader: StackReader, cpu: Cpu, call: Call, end: LoopEnd
) -> tuple[int, int] | None:
    """How far the loop can count and is to count, where it cannot count so far."""
    frames = _frames(session, reader, cpu)
    for bound in end.bounds if call.index < len(frames) else ():
        last = reader.value(frames, call.index, bound.limit) if bound.limit is not None else None
        last = last & ((1 << 8 * bound.size) - 1) if last is not None else None
        if bound.most is not None and last is not None and last > bound.most:
            return bound.most, last
    return None


def _frames(session: Session, reader: StackReader, cpu: Cpu) -> list[Any]:
    from drgn import Object

    return reader.frames(Object(session.prog, "struct task_struct *", cpu.task.address))


def _wiping(session: Session, module: Module, call: Call) -> tuple[str, ...]:
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    makers = {base_name(one.name) for one in inner if allocates(one)}
    uses = uses_of(reader, inner)
    return tuple(name for name in wiping(uses, makers) if name != call.function)


def _fields(
    session: Session,
    reader: StackReader,
    function: Function,
    cpu: Cpu,
    call: Call,
    end: LoopEnd,
) -> Iterator[FieldAt]:
    from drgn import FaultError

    frames = _frames(session, reader, cpu)
    place = function.at(call.pc, calling=not call.interrupted)
    place = place or Place((), None, function.registers(call.pc))
    given = arguments(place, frames[call.index]) if call.index < len(frames) else {}
    for where, size in sorted(
        ((read.place, read.size) for read in end.reads if read.place is not None),
        key=str,
    )[:_MOST_FIELDS]:
        address = None
        if call.index < len(frames):
            address = resolve(
                where,
                place,
                lambda name: reader.value(frames, call.index, name),
                reader.word,
                given if call.interrupted else None,
            )
        raw = None
        if address is not None:
            try:
                raw = session.read(address, size)
            except (FaultError, OverflowError):
                address = None
        inside = reader.names.inside(address) if address is not None else None
        yield FieldAt(NumberAt(address or 0, where, 0, inside), size, raw)


def arguments(place: Place, frame: Any) -> dict[str, int]:
    """What a function was called with, as far as it still has that in registers.

    :param frame: where it was interrupted: there all registers are known
    """
    found: dict[str, int] = {}
    for name, known in place.registers.items():
        if known.base in ARGUMENTS and name in REGISTERS:
            value = register(frame, name)
            if value is not None:
                found[known.base] = (value - known.offset) & MASK
    return found


def _others(
    session: Session, reader: StackReader, module: Module, function: Function
) -> Iterator[tuple[str, Function]]:
    """The module's functions, without its first and last and the one that loops."""
    edges = start_and_end(session, module.name)
    for name, start, _ in machine_code(SessionReader(session), module):
        other = reader.function(start)
        counts = COLD not in name and start not in edges and start != function.start
        if other is not None and counts:
            yield base_name(name), other

"""What ends the loop that a CPU is caught in, and who else of the module changes that.

``while (ring->tail != ring->head)`` is right as long as another function has left both within the
ring's size. Where such a loop goes on from turn to turn and does not end, it runs on a state that
others made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.conditions import NumberAt
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.handed_to import handed_to
from oopsight.evidence.hangs.left_claims import keeping_bits
from oopsight.evidence.hangs.stacks import Call, StackReader, register
from oopsight.evidence.hangs.unset_ends import Unset, leaving_unset
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.doers import wiping
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.module_roles import allocates, inner_functions, start_and_end
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_ahead import resolve
from oopsight.kernel.code_locks import Function
from oopsight.kernel.held_locks import Place
from oopsight.kernel.loop_ends import LoopEnd, inner_loop, loop_end, stored_from
from oopsight.kernel.loops import loop_at
from oopsight.kernel.machine_code import (
    FRAME,
    MASK,
    REGISTERS,
    Expression,
    Instruction,
    accessed_size,
    call_that_returned,
    direct_target,
    lowers,
    memory_place,
    stored_number,
    stores,
)
from oopsight.kernel.run_on import reads_ahead
from oopsight.kinds import Kind
from oopsight.plumbing import base_name
from oopsight.session import Session

_KINDS = (Kind.SOFT_LOCKUP, Kind.RCU_STALL)
_MOST_LOOPS = 4
_MOST_FIELDS = 16
_FIRST = "rdi"
_COUNTS = ("inc", "dec", "add", "sub", "xadd")


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
    lowering: tuple[str, ...] = ()
    """Those of them that take from a number which is below zero, if it has a sign."""
    keeps: tuple[str, ...] = ()
    """Others that can return and leave a bit set that the loop looks for to be clear."""
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
    found: dict[bool, dict[str, None]] = {True: {}, False: {}}
    unlimited: list[str] = []
    lowering: list[str] = []
    steps: dict[str, frozenset[int]] = {}
    keeps: tuple[str, ...] = ()
    elsewise: list[str] = []
    if fields:
        try:
            code = list(_others(session, reader, module, function))
        except SymbolError:
            code = []
        keeps = keeping_bits(reader, dict(code), function, inner_loop(function, call.pc))
        # What it calls on each turn is a part of it.
        called = {direct_target(row) for row in function.code.values() if row.mnemonic == "call"}
        limits = _limits(function, end)
        for name, other in sorted(code, key=lambda one: one[1].start in called):
            told = handed_alike([one for _, one in code], function.start, other.start)
            names_of = reader.names.function_at
            for advances in changes(other, fields, shape(function), names_of, told=told):
                found[advances][name] = None
            if sets_other_numbers(other, fields):
                elsewise.append(name)
            steps[name] = steps_of(other, fields)
            if name in (*found[True], *found[False]) and takes_away(other, fields):
                lowering.append(name)
            if limits and name in found[True] and not _is_limited(other, fields):
                unlimited.append(name)
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
        replaces=tuple(sorted(found[False], key=lambda name: name in elsewise)),
        advances=tuple(name for name in found[True] if name not in found[False]),
        unlimited=tuple(unlimited),
        lowering=tuple(lowering),
        zeros=zeros,
        wipes=_wiping(session, module, call) if zeros else (),
        stride=end.stride,
        uneven=tuple(_uneven(end.stride, steps)),
        given=end.given,
        keeps=keeps,
        remaining=_remaining(session, reader, cpu, call, end),
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
    for counter, limit, size in end.bounds:
        at = reader.value(frames, call.index, counter)
        last = reader.value(frames, call.index, limit) if limit is not None else 0
        if at is not None and last is not None:
            away = last - at if limit is not None else at
            found.append(away & ((1 << 8 * size) - 1))
    return min(found, default=None)


def _frames(session: Session, reader: StackReader, cpu: Cpu) -> list[Any]:
    from drgn import Object

    return reader.frames(Object(session.prog, "struct task_struct *", cpu.task.address))


def _wiping(session: Session, module: Module, call: Call) -> tuple[str, ...]:
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    makers = {base_name(one.name) for one in inner if allocates(one)}
    uses = uses_of(reader, inner)
    return tuple(name for name in wiping(uses, makers) if name != call.function)


class FieldAt(NamedTuple):
    """A number that ends the loop."""

    at: NumberAt
    size: int
    raw: bytes | None = None


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
        if other is not None and start not in edges and start != function.start:
            yield base_name(name), other


def changes(
    function: Function,
    fields: Iterable[FieldAt],
    loop: dict[str, set[tuple[int, int]]],
    name_of: Callable[[int], str | None],
    *,
    told: bool = False,
) -> Iterator[bool]:
    """The stores of a function to fields: whether each only makes the next number of the last.

    Those to an object that the function has just made are left out, and those to an object in
    which it does not use what the loop's function uses too.

    :param loop: :func:`shape` of the loop's function
    :param name_of: names the function at an address
    :param told: whether it is handed the object that the loop's function is handed
    """
    own: dict[str, set[tuple[int, int]]] | None = None
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at)) if stores(row) else None
        if place is None or place.base == FRAME:
            continue
        size = accessed_size(row)
        met = [one for one in fields if one.size == size and one.at.may_be(place, [], function)]
        if not met or made_here(function, place, name_of):
            continue
        own = shape(function) if own is None else own
        same = place.base.startswith("[0x") and any(place == one.at.where for one in met)
        same = same or (told and place.base == _FIRST and place in {one.at.where for one in met})
        if place.base and not same and not _alike(own[place.base], met, loop):
            continue
        yield row.mnemonic in _COUNTS or _from_itself(function, row, place)


def handed_alike(code: Iterable[Function], one: int, other: int) -> bool:
    """Whether some function calls two others with the same object first.

    :param one: where the one begins
    """
    for function in code:
        handed: dict[int, set[Expression]] = {one: set(), other: set()}
        for at, row in function.code.items():
            target = direct_target(row) if row.mnemonic == "call" else None
            first = function.registers(at).get(_FIRST) if target in handed else None
            if target is not None and first is not None:
                handed[target].add(first)
        if handed[one] & handed[other]:
            return True
    return False


def sets_other_numbers(function: Function, fields: Iterable[FieldAt]) -> bool:
    """Whether all that a function puts into a field are numbers of its own, which are not there."""
    put = []
    for at, row in function.code.items():
        registers = function.registers(at)
        place = memory_place(row, registers) if stores(row) else None
        met = [one for one in fields if place and one.raw and one.at.may_be(place, [], function)]
        number = stored_number(row, registers) if met and row.mnemonic == "mov" else None
        there = [int.from_bytes(one.raw or b"", "little") for one in met]
        put += [number is not None and number & MASK != value for value in there]
    return bool(put) and all(put)


def shape(function: Function) -> dict[str, set[tuple[int, int]]]:
    """Where in memory a function reads and writes, by the pointer: offsets and sizes.

    What it calls others with, as a lock within the object, has no size.
    """
    found: dict[str, set[tuple[int, int]]] = {}
    for at, row in function.code.items():
        handed = function.registers(at).get("rdi") if row.mnemonic == "call" else None
        if handed is not None and handed.base not in ("", FRAME) and handed.offset:
            found.setdefault(handed.base, set()).add((handed.offset, 0))
        size = accessed_size(row)
        place = memory_place(row, function.registers(at)) if size is not None else None
        if place is not None and size is not None and place.base != FRAME:
            found.setdefault(place.base, set()).add((place.offset, size))
    return found


def _uneven(stride: int | None, steps: dict[str, frozenset[int]]) -> Iterator[str]:
    """Who goes on by a number that the loop's does not divide, where another keeps to that."""
    by = {name: one for name, one in steps.items() if one}
    uneven = [name for name, one in by.items() if stride and any(step % stride for step in one)]
    if len(uneven) < len(by):
        yield from uneven


def steps_of(function: Function, fields: Iterable[FieldAt]) -> frozenset[int]:
    """The constants by which a function goes on in what it makes of a field."""
    found: set[int] = set()
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at)) if stores(row) else None
        if place is not None and any(one.at.may_be(place, [], function) for one in fields):
            found |= stored_from(function, at).added
    return frozenset(found)


def takes_away(function: Function, fields: Iterable[FieldAt]) -> bool:
    """Whether a function takes from a field that is below zero, and keeps it within no limit."""
    below = [one for one in fields if one.raw is not None and one.raw[-1] >> 7]
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at)) if stores(row) else None
        if place is None or not any(one.at.may_be(place, [], function) for one in below):
            continue
        made = stored_from(function, at)
        taken = made.subtracts and any(read.place == place for read in made.reads)
        if not made.limited and (lowers(row, function.registers(at)) or taken):
            return True
    return False


def _limits(function: Function, end: LoopEnd) -> bool:
    """Whether a loop keeps within a limit what it counts in memory of what ends it."""
    places = {read.place for read in end.reads if read.place is not None}
    return any(
        stores(row)
        and memory_place(row, function.registers(at)) in places
        and stored_from(function, at).limited
        for at, row in function.code.items()
    )


def _is_limited(function: Function, fields: Iterable[FieldAt]) -> bool:
    """Whether a function keeps within a limit what it makes of a field, or begins it anew."""
    for at, row in function.code.items():
        place = memory_place(row, function.registers(at)) if stores(row) else None
        if place is None or not any(one.at.may_be(place, [], function) for one in fields):
            continue
        number = stored_number(row, function.registers(at)) if row.mnemonic == "mov" else None
        if number is not None or stored_from(function, at).limited:
            return True
    return False


def _alike(
    own: set[tuple[int, int]], met: list[FieldAt], loop: dict[str, set[tuple[int, int]]]
) -> bool:
    """Whether an object is used as the loop's function uses the one with the field."""
    for one in met:
        there = loop.get(one.at.where.base, set())
        inside = one.at.inside if one.at.inside is not None else one.at.where.offset
        for away in {0, inside - one.at.where.offset}:
            moved = {((offset + away) & MASK, size) for offset, size in there}
            if len(own & moved) >= min(2, len(moved)):
                return True
    return False


def made_here(function: Function, place: Expression, name_of: Callable[[int], str | None]) -> bool:
    """Whether memory is of an object that the function has just allocated."""
    site = call_that_returned(place)
    row = function.code.get(site) if site is not None else None
    target = direct_target(row) if row is not None else None
    return target is not None and (name_of(target) or "").lstrip("_").startswith(ALLOCATES)


def _from_itself(function: Function, row: Instruction, place: Expression) -> bool:
    return any(read.place == place for read in stored_from(function, row.address).reads)

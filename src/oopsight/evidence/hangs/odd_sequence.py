"""CPUs that wait for the writer of a seqlock or sequence count that has gone.

``read_seqbegin()`` goes round as long as the sequence number is odd, as it is while one writes.
The spinlock that writers of a seqlock take lies behind the number. Nobody who holds a spinlock
sleeps: where no CPU's code does, whoever was writing has returned.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.loop_state import LoopState, LoopStates
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.left_off import Switch, ways_out
from oopsight.kernel.loops import loop_at
from oopsight.kernel.machine_code import FRAME, Expression, Instruction, accessed_size, memory_place
from oopsight.plumbing import base_name
from oopsight.session import Session

_NUMBER = 4
_SPINLOCK = "spinlock"
_LOWEST_BIT = re.compile(r", (?:0x)?1$")
_HELD = b"\1\0\0\0"
"""A spinlock that is held, and nobody waits for."""


@dataclass(frozen=True)
class OddSequence:
    """A seqlock."""

    state: LoopState
    """The loop of the reader."""
    sequence: BytesPointer
    lock: BytesPointer | None
    """The spinlock of the writers, which is held; ``None`` of a count without one, or with an open
    one."""
    left_by: tuple[str, ...] = ()
    """Of one without: functions of the module that can return with it odd, and on another way make
    it even again."""


@dataclass(frozen=True)
class OddSequences:
    """Those that CPUs wait for, and nobody is writing under."""

    found: tuple[OddSequence, ...]


def collect(
    session: Session, states: LoopStates, cpus: Cpus, modules: Modules
) -> OddSequences | Missing:
    """Look at the numbers that the loops end by."""
    if cpus.unread or any(map(_may_write, cpus.cpus)):
        return Missing(Why.NOT_APPLICABLE, "a CPU may hold a spinlock")
    reader = StackReader(session, modules)
    found = [
        one
        for state in states.loops
        if state.stands_still and (asked := _asks_lowest_bit(reader, cpus, state))
        for one in _odd(session, reader, modules, state, asked)
    ]
    return OddSequences(tuple(found))


def _may_write(cpu: Cpu) -> bool:
    """Whether a CPU's stack is not whole, or its code holds a spinlock."""
    if cpu.idle or cpu.in_user:
        return False
    calls = cpu.stack.calls
    holds = any(held.kind == _SPINLOCK for call in calls for held in call.holds)
    return holds or cpu.stack.missing is not None or not calls


def _asks_lowest_bit(reader: StackReader, cpus: Cpus, state: LoopState) -> frozenset[int]:
    """How far from what the loop has pointers to the numbers are that it asks to be even."""
    cpu = cpus.running(state.task.address)
    call = cpu.stack.looping if cpu is not None else None
    function = reader.function(call.pc - call.offset) if call is not None else None
    if call is None or function is None:
        return frozenset()
    rows = loop_at(function, call.pc)
    asked = {name for row in rows if is_lowest_bit(row) for name in row.read}
    loads = (row for row in rows if is_lowest_bit(row) or asked.intersection(row.written))
    places = (memory_place(row, function.registers(row.address)) for row in loads)
    return frozenset(place.offset for place in places if place is not None)


def is_lowest_bit(row: Instruction) -> bool:
    """Whether an instruction asks whether a number is odd."""
    return row.mnemonic in ("test", "and") and _LOWEST_BIT.search(row.text) is not None


def _odd(
    session: Session,
    reader: StackReader,
    modules: Modules,
    state: LoopState,
    asked: frozenset[int],
) -> Iterator[OddSequence]:
    from drgn import FaultError

    for field in state.fields:
        number = bytes.fromhex(field.bytes)
        if len(number) != _NUMBER or not number[0] & 1:
            continue
        at = field.address + _NUMBER
        try:
            lock = session.prog.read(at, _NUMBER)
        except FaultError:
            lock = b""
        if lock == _HELD:
            yield OddSequence(state, field, BytesPointer(Address(at), lock.hex()))
            continue
        module = next((one for one in modules.loaded if one.name == state.module.name), None)
        if module is not None:
            places = {field.address, reader.names.within(field.address), *asked}
            by = tuple(_leaving_odd(session, reader, module, places))
            yield OddSequence(state, field, None, by)


def _leaving_odd(
    session: Session, reader: StackReader, module: Module, places: Collection[int | None]
) -> Iterator[str]:
    """Functions that store to the number once on some way, and twice on another.

    :param places: its address, and its distances from what code has pointers to
    """

    def touches(row: Instruction, place: Expression) -> Switch | None:
        there = place.base != FRAME and place.offset in places
        return Switch.TURN if there and accessed_size(row) == _NUMBER else None

    for name, start, _ in machine_code(SessionReader(session), module):
        function = reader.function(start) if ".cold" not in name else None
        ways = ways_out(function, lambda _: None, touches) if function is not None else None
        if ways is not None and ways.leaks:
            yield base_name(name)

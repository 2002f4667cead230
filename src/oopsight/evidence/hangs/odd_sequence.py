"""CPUs that wait for the writer of a seqlock that has gone and not given it back.

``read_seqbegin()`` goes round as long as the sequence number is odd, as it is while one writes.
The spinlock that writers take lies behind the number. Nobody who holds it sleeps: where no CPU's
code does, whoever took it has returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.loop_state import LoopState, LoopStates
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.loops import loop_at
from oopsight.kernel.machine_code import Instruction
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
    lock: BytesPointer
    """The spinlock of the writers, which is held."""


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
        if state.stands_still and _asks_lowest_bit(reader, cpus, state)
        for one in _odd(session.prog, state)
    ]
    return OddSequences(tuple(found))


def _may_write(cpu: Cpu) -> bool:
    """Whether a CPU's stack is not whole, or its code holds a spinlock."""
    if cpu.idle or cpu.in_user:
        return False
    calls = cpu.stack.calls
    holds = any(held.kind == _SPINLOCK for call in calls for held in call.holds)
    return holds or cpu.stack.missing is not None or not calls


def _asks_lowest_bit(reader: StackReader, cpus: Cpus, state: LoopState) -> bool:
    cpu = cpus.running(state.task.address)
    call = cpu.stack.looping if cpu is not None else None
    function = reader.function(call.pc - call.offset) if call is not None else None
    if call is None or function is None:
        return False
    return any(map(is_lowest_bit, loop_at(function, call.pc)))


def is_lowest_bit(row: Instruction) -> bool:
    """Whether an instruction asks whether a number is odd."""
    return row.mnemonic in ("test", "and") and _LOWEST_BIT.search(row.text) is not None


def _odd(prog: Any, state: LoopState) -> Iterator[OddSequence]:
    from drgn import FaultError

    for field in state.fields:
        number = bytes.fromhex(field.bytes)
        if len(number) != _NUMBER or not number[0] & 1:
            continue
        at = field.address + _NUMBER
        try:
            lock = prog.read(at, _NUMBER)
        except FaultError:
            continue
        if lock == _HELD:
            yield OddSequence(state, field, BytesPointer(Address(at), lock.hex()))

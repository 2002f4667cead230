"""A count that a task waits to become zero, and the functions that take it down.

``wait_event(queue, !atomic_read(&inflight))``: whoever waits is right to wait. That the count
stands above zero, with nobody under way, is the doing of a function that had to take it down and,
on some path, did not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits, hung
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.code_ahead import ahead, resolve
from oopsight.kernel.code_locks import Function, Place
from oopsight.kernel.loops import loop_at
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    lowers,
    memory_place,
    writes_memory,
)
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_WAITS = 8
_MOST_COUNT = 1 << 20
_LOOKS = ("mov", "movsxd", "cmp", "test")
_SIZES = (4, 8)


@dataclass(frozen=True)
class CountedWait:
    """The count, and who takes it down."""

    task: TaskPointer
    counter: Address
    name: str | None
    count: int
    memory: BytesPointer
    module: ModulePointer
    lowers: tuple[str, ...]
    """Functions of the module, the one that waits left out."""


@dataclass(frozen=True)
class CountedWaits:
    """Those of all tasks that hang."""

    waits: tuple[CountedWait, ...]

    def of(self, task: int) -> CountedWait | None:
        """That of a task, by its address."""
        return next((one for one in self.waits if one.task.address == task), None)


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> CountedWaits | Missing:
    """Look at the conditions that modules' functions wait for."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    reader = StackReader(session, modules)
    found: list[CountedWait] = []
    asked = [w for w in waits.victims if w.lock is not None and w.lock.kind == "event"]
    for wait in [w for w in asked if w.lock is not None and not w.lock.holders][:_MOST_WAITS]:
        one = _counted(session, reader, modules, wait)
        if one is not None:
            found.append(one)
    return CountedWaits(tuple(found))


def _counted(
    session: Session, reader: StackReader, modules: Modules, wait: Wait
) -> CountedWait | None:
    from drgn import FaultError, Object

    call = wait.call
    module = next((m for m in modules.loaded if call is not None and m.name == call.module), None)
    function = reader.function(call.pc - call.offset) if call is not None else None
    if call is None or module is None or function is None:
        return None
    prog: Any = session.prog
    frames = reader.frames(Object(prog, "struct task_struct *", wait.task.address))
    if call.index >= len(frames):
        return None
    place = function.at(call.pc, calling=True) or Place((), None, function.registers(call.pc))
    for row, where in _conditions(function, call.pc):
        counter = resolve(
            where, place, lambda name: reader.value(frames, call.index, name), reader.word
        )
        size = _size(row)
        if counter is None or size not in _SIZES:
            continue
        try:
            raw = session.read(counter, size)
        except (FaultError, OverflowError):
            continue
        count = int.from_bytes(raw, "little", signed=True)
        if not 0 < count < _MOST_COUNT:
            continue
        queue = int(wait.lock.address or 0) if wait.lock is not None else 0
        count_at = _CountAt(counter, where, counter - queue)
        lowering = _lowering(session, reader, module, count_at)
        lowering = tuple(name for name in lowering if name != call.function)
        if lowering:
            return CountedWait(
                task=wait.task,
                counter=Address(counter),
                name=reader.names.data(counter),
                count=count,
                memory=BytesPointer(Address(counter), raw.hex()),
                module=module.pointer,
                lowers=lowering,
            )
    return None


def _conditions(function: Function, pc: int) -> Iterator[tuple[Instruction, Expression]]:
    """What is read from memory, not the own stack, in the loop around a call in progress."""
    seen: set[int] = set()
    waiting = [pc]
    while waiting:
        at = waiting.pop(0)
        row = function.code.get(at)
        if at in seen or row is None:
            continue
        seen.add(at)
        place = memory_place(row, function.registers(at))
        if row.mnemonic in _LOOKS and place is not None and place.base != FRAME:
            reads = row.mnemonic != "mov" or not writes_memory(row)
            if reads and loop_at(function, at):
                yield row, place
        waiting += function.ways(row)


def _size(row: Instruction) -> int:
    """Of the memory that is read, in bytes."""
    return int(row.operands[-1 if row.mnemonic.startswith("mov") else 0].size)


class _CountAt(NamedTuple):
    """How code can name the count."""

    address: int
    where: Expression
    """As the function that waits has it."""
    from_queue: int
    """From the queue that is woken."""

    def may_be(self, place: Expression, woken: list[Expression]) -> bool:
        """Whether a function that wakes these queues may mean it by a place."""
        if not place.base:
            return place.offset == self.address
        if place.base == FRAME:
            return False
        if any(place == queue.plus(self.from_queue) for queue in woken):
            return True
        return bool(self.where.base) and place.offset == self.where.offset


def _lowering(
    session: Session, reader: StackReader, module: Module, count: _CountAt
) -> tuple[str, ...]:
    """Functions of a module that take the count down."""
    found: dict[str, None] = {}
    try:
        for name, start, _ in machine_code(SessionReader(session), module):
            function = reader.function(start)
            down = _taken_down(function) if function is not None else []
            if function is None or not down:
                continue
            gifts = ahead(function, start, reader.names.function_at)
            woken = [gift.thing for gift in gifts if gift.kind == "event"]
            if any(count.may_be(place, woken) for place in down):
                found[base_name(name)] = None
    except SymbolError:
        return ()
    return tuple(found)


def _taken_down(function: Function) -> list[Expression]:
    """The numbers in memory that a function takes down."""
    found = []
    for at, row in function.code.items():
        registers = function.registers(at)
        place = memory_place(row, registers) if lowers(row, registers) else None
        if place is not None:
            found.append(place)
    return found

"""The numbers in memory that a module's function looks at in the loop around its wait.

Not a fact by itself: collectors ask it who should have changed such a number, or have told of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from oopsight.cheap import dataclass
from oopsight.evidence.hangs.goes_on import GoesOn
from oopsight.evidence.hangs.handed_to import HandedTo, handed_to
from oopsight.evidence.hangs.stacks import Call, StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.kernel.calling_convention import CALLEE_SAVED
from oopsight.kernel.code_ahead import ahead, resolve
from oopsight.kernel.code_locks import Function
from oopsight.kernel.held_locks import Place
from oopsight.kernel.loops import loop_at
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    memory_place,
    writes_memory,
)
from oopsight.session import Session

_MOST_WAITS = 8
Reads = Callable[[int, int], bytes | None]
Meant = Callable[[int], bool]
"""Tells of a number whether the task would go on by it."""
_LOOKS = ("mov", "movsxd", "movzx", "movsx", "cmp", "test")
_SIZES = (1, 2, 4, 8)


class NumberAt(NamedTuple):
    """How code can name a number that is waited for."""

    address: int
    where: Expression
    """As the function that waits has it."""
    from_queue: int
    """From the queue that is woken."""
    inside: int | None = None
    """From the beginning of the object or variable that it lies in."""
    handlers: HandedTo | None = None

    def may_be(
        self, place: Expression, woken: list[Expression], function: Function | None = None
    ) -> bool:
        """Whether a function that wakes these queues may mean it by a place."""
        if not place.base:
            return place.offset == self.address
        if place.base == FRAME:
            return False
        if any(place == queue.plus(self.from_queue) for queue in woken):
            return True
        if self.inside is not None and place.offset == self.inside:
            return True
        handed = (self.handlers or {}).get(function.start, ()) if function is not None else ()
        if place.base == "rdi" and place.offset in handed:
            return True
        return bool(self.where.base) and place.offset == self.where.offset


class Looked(NamedTuple):
    """A number that the function looks at, and what it is."""

    row: Instruction
    at: NumberAt
    raw: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.raw)

    @property
    def number(self) -> int:
        """Without a sign."""
        return int.from_bytes(self.raw, "little")


@dataclass(frozen=True)
class Condition:
    """All that a task's function looks at before it goes on."""

    wait: Wait
    call: Call
    module: Module
    function: Function
    looks: tuple[Looked, ...]
    goes_on: GoesOn | None = None
    """Carries out the code that looks."""


def conditions(
    session: Session, reader: StackReader, waits: Waits, modules: Modules
) -> Iterator[Condition]:
    """Those of the tasks that wait for an event of which nobody is known to bring it."""
    asked = [w for w in waits.victims if w.lock is not None and w.lock.kind == "event"]
    for wait in [w for w in asked if w.lock is not None and not w.lock.holders][:_MOST_WAITS]:
        found = _condition(session, reader, modules, wait)
        if found is not None:
            yield found


def _condition(
    session: Session, reader: StackReader, modules: Modules, wait: Wait
) -> Condition | None:
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
    queue = int(wait.lock.address or 0) if wait.lock is not None else 0
    looks = []
    for row, where in looked_at(function, call.pc):
        address = resolve(
            where, place, lambda name: reader.value(frames, call.index, name), reader.word
        )
        size = _size(row)
        if address is None or size not in _SIZES:
            continue
        try:
            raw = session.read(address, size)
        except (FaultError, OverflowError):
            continue
        inside, handlers = reader.names.inside(address), handed_to(session, address, module)
        at = NumberAt(address, where, address - queue, inside, handlers)
        looks.append(Looked(row, at, raw))
    held = {name: reader.value(frames, call.index, name) for name in CALLEE_SAVED}
    known = {name: value for name, value in held.items() if value is not None}
    known["rsp"] = int(call.sp)
    goes_on = GoesOn(reader, module, function, call.pc, known)
    return Condition(wait, call, module, function, tuple(looks), goes_on)


def by_running(condition: Condition, read: Reads, *, on: bool = True) -> list[tuple[Looked, Meant]]:
    """The numbers by all of which the task would go on, where no single one decides.

    :param read: reads memory, ``None`` where it is not in the dump
    :param on: ``False``: those by which it would not
    :return: with each whether the task would go on by another number in its place; none where it
        is not as asked for, or not known
    """
    goes_on = condition.goes_on
    now, reads = goes_on.asked() if goes_on is not None else (None, [])
    now = None if now is None else now == on
    lock = condition.wait.lock
    queue = int(lock.address or 0) if lock is not None else 0
    found: dict[int, tuple[Looked, Meant]] = {}
    for one in reads if now else ():
        raw = read(one.address, one.size)
        where = goes_on.place(one.row) if goes_on is not None else None
        if raw is None or where is None or one.size not in _SIZES or goes_on is None:
            continue
        known = next((x.at for x in condition.looks if x.at.address == one.address), None)
        inside, handlers = (known.inside, known.handlers) if known is not None else (None, None)
        at = NumberAt(one.address, where, one.address - queue, inside, handlers)
        found.setdefault(one.address, (Looked(one.row, at, raw), goes_on.would(one)))
    return list(found.values())


def looked_at(function: Function, pc: int) -> Iterator[tuple[Instruction, Expression]]:
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
            reads = not row.mnemonic.startswith("mov") or not writes_memory(row)
            if reads and loop_at(function, at):
                yield row, place
        waiting += function.ways(row)


def woken_queues(function: Function, name_of: Callable[[int], str | None]) -> list[Expression]:
    """The queues that a function wakes, as its code has them."""
    gifts = ahead(function, function.start, name_of)
    return [gift.thing for gift in gifts if gift.kind == "event"]


def _size(row: Instruction) -> int:
    """Of the memory that is read, in bytes."""
    return int(row.operands[-1 if row.mnemonic.startswith("mov") else 0].size)

"""Functions that end a wait on some ways only, and what tells that they went another.

An interrupt's handler that returns for a broken transfer without ``complete()``; a callback that
sets what is waited for unless it met an error. What only such a way stores is looked for in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.conditions import (
    Condition,
    Looked,
    Meant,
    Reads,
    by_running,
    conditions,
    woken_queues,
)
from oopsight.evidence.hangs.missed_wake import awaited, changes_of, decisive
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits, hung
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.module_roles import start_and_end
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.branches import branch
from oopsight.kernel.code_ahead import GIVES
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Expression, direct_target
from oopsight.kernel.omissions import Mark, Omission, omission
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_WAITS = 4
_COLD = ".cold"
_COMPLETION = "completion"


@dataclass(frozen=True)
class OmittedSignal:
    """A function, and its way out."""

    task: TaskPointer
    """Who waits."""
    module: ModulePointer
    function: str
    returns_at: str
    seen: tuple[BytesPointer, ...] = ()
    """What only such a way stores, and is in memory."""


@dataclass(frozen=True)
class OmittedSignals:
    """Those first of which memory tells."""

    found: tuple[OmittedSignal, ...]

    def of(self, task: int) -> tuple[OmittedSignal, ...]:
        """Those for a task, by its address."""
        return tuple(one for one in self.found if one.task.address == task)


class _Signal(NamedTuple):
    """A function, where it signals, and the object it does so for."""

    name: str
    function: Function
    sites: list[int]
    base: str
    """Of the expressions for what is in the object."""
    begin: int
    """Where the object lies, as the function has it."""
    exact: bool
    """Whether the code has what is waited for where it lies in the waiting code's object."""


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> OmittedSignals | Missing:
    """Read the code of the modules that wait for what nobody is known to bring."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    reader = StackReader(session, modules)
    found: list[OmittedSignal] = []
    for wait in [one for one in waits.victims if _asked(one)][:_MOST_WAITS]:
        module = next((m for m in modules.loaded if wait.call and m.name == wait.call.module), None)
        if module is not None:
            code = list(_functions(session, reader, module, wait))
            signals = list(_completing(reader, code, wait))
            found += _omitted(session, reader, module, wait, signals)
    for condition in conditions(session, reader, waits, modules):
        if decisive(condition, reader.names.function_at) is None:
            code = list(_functions(session, reader, condition.module, condition.wait))
            asked = _asked_for(condition, SessionReader(session).read)
            signals = list(_bringing(reader, code, asked))
            found += _omitted(session, reader, condition.module, condition.wait, signals)
    return OmittedSignals(tuple(sorted(found, key=lambda one: not one.seen)))


def _asked(wait: Wait) -> bool:
    lock = wait.lock
    return lock is not None and lock.kind == _COMPLETION and not lock.holders


def _functions(
    session: Session, reader: StackReader, module: Module, wait: Wait
) -> Iterator[tuple[str, Function]]:
    """A module's functions, without its first and last and the one that waits."""
    edges = start_and_end(session, module.name)
    if wait.call is not None:
        edges = edges | {wait.call.pc - wait.call.offset}
    try:
        for name, start, _ in machine_code(SessionReader(session), module):
            function = reader.function(start)
            if function is not None and start not in edges and _COLD not in name:
                yield base_name(name), function
    except SymbolError:
        return


def _completing(
    reader: StackReader, code: list[tuple[str, Function]], wait: Wait
) -> Iterator[_Signal]:
    """Those that complete what a task waits for, or may."""
    address = int(wait.lock.address or 0) if wait.lock is not None else 0
    for name, function in code:
        by_base: dict[str, tuple[list[int], int]] = {}
        for at, row in function.code.items():
            target = direct_target(row) if row.mnemonic in ("call", "jmp") else None
            called = reader.names.function_at(target) if target is not None else None
            thing = function.registers(at).get("rdi")
            if GIVES.get(called or "") == _COMPLETION and thing is not None:
                by_base.setdefault(thing.base, ([], thing.offset))[0].append(at)
        for base, (sites, offset) in by_base.items():
            if base or offset == address:
                exact = not base or offset in wait.places
                yield _Signal(name, function, sites, base, (address - offset) * bool(base), exact)


def _asked_for(condition: Condition, read: Reads) -> Iterator[tuple[Looked, Meant]]:
    """The numbers that a task looks at and waits to be others, and whether it would go on."""
    for looked in condition.looks:
        if branch(condition.function, looked.row, looked.number) is not None:
            meant = awaited(condition.function, looked)
            if not meant(looked.number):
                yield looked, meant
    yield from by_running(condition, read, on=False)


def _bringing(
    reader: StackReader,
    code: list[tuple[str, Function]],
    asked: Iterable[tuple[Looked, Meant]],
) -> Iterator[_Signal]:
    """Those that make of a number what the task waits for."""
    for looked, meant in asked:
        for name, function in code:
            changes = changes_of(
                name,
                function,
                looked,
                meant,
                lambda one: woken_queues(one, reader.names.function_at),
            )
            for change in changes:
                base, offset = change.place
                begin = (looked.at.address - offset) * bool(base)
                yield _Signal(name, function, [change.at], base, begin, exact=True)


def _omitted(
    session: Session,
    reader: StackReader,
    module: Module,
    wait: Wait,
    signals: list[_Signal],
) -> Iterator[OmittedSignal]:
    exact = any(one.exact for one in signals)
    told: set[str] = set()
    for one in signals:
        if one.name in told or one.exact < exact:
            continue
        left_out = omission(one.function, one.sites, lambda to: _is_aside(reader, to))
        seen = _seen(session, left_out, one) if left_out is not None else None
        if left_out is None or seen is None:
            continue
        told.add(one.name)
        at = f"{one.name}+{left_out.returns - one.function.start:#x}"
        yield OmittedSignal(wait.task, module.pointer, one.name, at, seen)


def _is_aside(reader: StackReader, target: int) -> bool:
    return _COLD in reader.names.code(target)[0]


def _seen(session: Session, left_out: Omission, signal: _Signal) -> tuple[BytesPointer, ...] | None:
    """What only these ways store and is in memory; ``None`` where they do nothing, or did not."""
    if not left_out.acts:
        return None
    there: list[BytesPointer] = []
    denied = False
    for mark in left_out.marks:
        at = _address(mark.place, signal)
        raw = _read(session, at, mark.size) if at is not None else None
        if at is None or raw is None:
            continue
        number = int.from_bytes(raw, "little")
        if _told(mark, number):
            there.append(BytesPointer(Address(at), raw.hex()))
        denied = denied or (number == 0 if mark.number is None else number != mark.number)
    return None if denied and not there else tuple(there)


def _told(mark: Mark, number: int) -> bool:
    """Whether a number in memory tells: one that is zero may be so from the beginning."""
    return bool(number) and mark.number in (None, number)


def _address(place: Expression, signal: _Signal) -> int | None:
    if not place.base:
        return place.offset
    return (signal.begin + place.offset) % (1 << 64) if place.base == signal.base else None


def _read(session: Session, address: int, size: int) -> bytes | None:
    from drgn import FaultError

    try:
        return session.read(address, size)
    except (FaultError, OverflowError):
        return None

"""Completions that a task waits for and that came to another.

A function calls ``complete()`` where several wait: the next of them waits on, though what it had
looked at before has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.conditions import Looked, NumberAt
from oopsight.evidence.hangs.missed_wake import changes_of
from oopsight.evidence.hangs.module_functions import of_waiting
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits, hung
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.branches import branch
from oopsight.kernel.code_ahead import resolve
from oopsight.kernel.code_locks import Function
from oopsight.kernel.held_locks import Place
from oopsight.kernel.machine_code import (
    FRAME,
    accessed_size,
    direct_target,
    memory_place,
    stores,
)
from oopsight.kernel.omissions import comes_to
from oopsight.plumbing import base_name
from oopsight.session import Session

_COMPLETION = "completion"
_ONE = "complete"
_SIZES = (1, 2, 4, 8)


@dataclass(frozen=True)
class LostCompletion:
    """A function to suspect, and why."""

    task: TaskPointer
    module: ModulePointer
    function: str
    seen: BytesPointer
    """What the one that waits had looked at before."""


@dataclass(frozen=True)
class LostCompletions:
    """For all tasks that hang."""

    found: tuple[LostCompletion, ...]

    def of(self, task: int) -> tuple[LostCompletion, ...]:
        """Those for a task, by its address."""
        return tuple(one for one in self.found if one.task.address == task)


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> LostCompletions | Missing:
    """Read the code of modules that wait for a completion which nobody is known to bring."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    reader = StackReader(session, modules)
    found: list[LostCompletion] = []
    for wait, module, code in of_waiting(session, reader, modules, waits, _asked):
        found += _for_one(session, reader, wait, module, code)
    return LostCompletions(tuple(found))


def _asked(wait: Wait) -> bool:
    lock = wait.lock
    return lock is not None and lock.kind == _COMPLETION and not lock.holders


def _targets(function: Function) -> set[int]:
    rows = (row for row in function.code.values() if row.mnemonic in ("call", "jmp"))
    return {target for row in rows if (target := direct_target(row)) is not None}


def _for_one(
    session: Session,
    reader: StackReader,
    wait: Wait,
    module: Module,
    code: dict[str, Function],
) -> Iterator[LostCompletion]:
    """Who changed what the one that waits had looked at before, and completed for but one."""
    names = reader.names.function_at
    told: set[str] = set()
    for looked, goes in _past(session, reader, wait):
        for name, function in code.items():
            once = any(names(target) == _ONE for target in _targets(function))
            if not once or base_name(name) in told:
                continue
            if any(True for _ in changes_of(name, function, looked, goes, lambda _: [])):
                told.add(base_name(name))
                seen = BytesPointer(Address(looked.at.address), looked.raw.hex())
                yield LostCompletion(wait.task, module.pointer, base_name(name), seen)


def _past(
    session: Session, reader: StackReader, wait: Wait
) -> Iterator[tuple[Looked, Callable[[int], bool]]]:
    """Numbers by which the function would not wait if it came there now."""
    from drgn import FaultError, Object

    call = wait.call
    function = reader.function(call.pc - call.offset) if call is not None else None
    if call is None or function is None:
        return
    prog: Any = session.prog
    frames = reader.frames(Object(prog, "struct task_struct *", wait.task.address))
    site = next((at for at, row in function.code.items() if row.end == call.pc), None)
    place = function.at(call.pc, calling=True) or Place((), None, function.registers(call.pc))
    if site is None or call.index >= len(frames):
        return
    for at, row in function.code.items():
        where = memory_place(row, function.registers(at))
        size = accessed_size(row)
        reads = where is not None and where.base != FRAME and not stores(row)
        if not reads or where is None or size not in _SIZES or not comes_to(function, at, site, ()):
            continue
        address = resolve(
            where, place, lambda name: reader.value(frames, call.index, name), reader.word
        )
        if address is None:
            continue
        try:
            raw = session.read(address, size)
        except (FaultError, OverflowError):
            continue

        def passes(number: int, row: Any = row) -> bool:
            way = branch(function, row, number)
            return way is not None and not comes_to(function, way[1], site, ())

        if passes(int.from_bytes(raw, "little")):
            at_ = NumberAt(address, where, 0, reader.names.inside(address))
            yield Looked(row, at_, raw), passes

"""A count that a task waits to become zero, and the functions that take it down.

``wait_event(queue, !atomic_read(&inflight))``: whoever waits is right to wait. That the count
stands above zero, with nobody under way, is the doing of a function that had to take it down and,
on some path, did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.conditions import Condition, NumberAt, conditions, woken_queues
from oopsight.evidence.hangs.module_functions import module_functions
from oopsight.evidence.hangs.set_aside import full_heads
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting import Waits, hung
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.known_calls import HANDS_ON
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.module_roles import freers, inner_functions, reaching
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import (
    MASK,
    Expression,
    Instruction,
    direct_target,
    lowers,
    memory_place,
    stores,
)
from oopsight.kernel.shares import keeping, spread
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_COUNT = 1 << 20
_SIZES = (4, 8)
_CHANGES = ("inc", "dec", "add", "sub", "xadd")
_WAKES = ("__wake_up", "swake_up", "complete")
_UNLINKS = frozenset(("__list_del_entry_valid", "__list_del_entry_valid_or_report"))


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
    drops: tuple[str, ...] = ()
    """Others that take entries off a list and free them, as those do which take the count down."""
    parks: tuple[str, ...] = ()
    """Others that move entries to a list beside the count which has as many as it counts."""
    keeps: tuple[str, ...] = ()
    """Others that raise the count and can return with nobody to take it down, to whom they hand on
    the rest on another way."""


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
    found = [_counted(session, reader, one) for one in conditions(session, reader, waits, modules)]
    return CountedWaits(tuple(one for one in found if one is not None))


def _counted(session: Session, reader: StackReader, condition: Condition) -> CountedWait | None:
    for looked in condition.looks:
        count = int.from_bytes(looked.raw, "little", signed=True)
        if looked.size not in _SIZES or not 0 < count < _MOST_COUNT:
            continue
        lowering = _lowering(session, reader, condition.module, looked.at)
        lowering = tuple(name for name in lowering if name != condition.call.function)
        if lowering:
            module = condition.module
            waiting = condition.call.function
            drops = _dropping(session, module, lowering)
            parks = _parking(session, module, lowering, looked.at, count)
            return CountedWait(
                task=condition.wait.task,
                counter=Address(looked.at.address),
                name=reader.names.data(looked.at.address),
                count=count,
                memory=BytesPointer(Address(looked.at.address), looked.raw.hex()),
                module=module.pointer,
                lowers=lowering,
                drops=tuple(name for name in drops if name != waiting),
                parks=tuple(name for name in parks if name != waiting),
                keeps=tuple(_keeping(session, reader, module, looked.at)),
            )
    return None


def _dropping(session: Session, module: Module, lowering: tuple[str, ...]) -> tuple[str, ...]:
    """Functions that free what is counted, for what their code tells, and leave the count alone."""
    reader = SessionReader(session)
    code = inner_functions(session, module, reader)
    counting = set(reaching(set(lowering), code))
    free = set(freers(code))
    if not counting & free:
        return ()
    uses = uses_of(reader, code)
    return tuple(n for n, use in uses.items() if use.unlinks and n in free and n not in counting)


def _parking(
    session: Session, module: Module, lowering: tuple[str, ...], count: NumberAt, number: int
) -> tuple[str, ...]:
    """Functions that move entries to a list with as many as are counted, and do not count.

    Of a module that counts what it has on lists: who takes the count down takes entries off.
    """
    reader = SessionReader(session)
    heads = full_heads(reader.read, count.address, number)
    if not heads:
        return ()
    code = inner_functions(session, module, reader)
    counting = set(reaching(set(lowering), code))
    moving = {base_name(one.name) for one in code if not _UNLINKS.isdisjoint(one.outside)}
    if not counting & moving:
        return ()
    begins = (count.where.offset if count.where.base else None, count.inside)
    keys = set(heads)
    for begin in begins:
        keys |= {begin + at - count.address & MASK for at in heads if begin is not None}
    uses = uses_of(reader, code)
    refers = {base_name(one.name): one.refers for one in code}
    return tuple(
        name
        for name, use in uses.items()
        if name in moving and name not in counting and keys & (use.inner | refers.get(name, set()))
    )


def _keeping(
    session: Session, reader: StackReader, module: Module, count: NumberAt
) -> Iterator[str]:
    """Functions that raise the count, and on some way neither hand on the rest nor lower it."""
    name_of = reader.names.function_at

    def changing(function: Function, *, down: bool) -> Iterator[Instruction]:
        woken = woken_queues(function, name_of)
        for at, row in function.code.items():
            registers = function.registers(at)
            place = memory_place(row, registers) if row.mnemonic in _CHANGES else None
            if place is not None and stores(row) and lowers(row, registers) == down:
                yield from (row,) if count.may_be(place, woken, function) else ()

    def takes(function: Function) -> set[int]:
        return {at for row in changing(function, down=False) for at in function.ways(row)}

    def gives(function: Function) -> set[int]:
        calls = {at for at, row in function.code.items() if _hands_on(row, name_of)}
        return calls | {row.address for row in changing(function, down=True)}

    try:
        code = module_functions(session, reader, module)
    except SymbolError:
        return
    for name, _, _ in keeping(spread(code, takes, gives)):
        yield base_name(name)


def _hands_on(row: Instruction, name_of: Callable[[int], str | None]) -> bool:
    """Whether it calls what leaves the rest to another, or may: what a pointer tells."""
    target = direct_target(row)
    if row.mnemonic == "call" and target is None:
        return True
    name = name_of(target) if target is not None and row.mnemonic in ("call", "jmp") else None
    return name is not None and (name in HANDS_ON or name.startswith(_WAKES))


def _lowering(
    session: Session, reader: StackReader, module: Module, count: NumberAt
) -> tuple[str, ...]:
    """Functions of a module that take the count down."""
    found: dict[str, None] = {}
    try:
        for name, start, _ in machine_code(SessionReader(session), module):
            function = reader.function(start)
            down = _taken_down(function) if function is not None else []
            if function is None or not down:
                continue
            woken = woken_queues(function, reader.names.function_at)
            if any(count.may_be(place, woken, function) for place in down):
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

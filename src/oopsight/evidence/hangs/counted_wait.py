"""A count that a task waits to become zero, and the functions that take it down.

``wait_event(queue, !atomic_read(&inflight))``: whoever waits is right to wait. That the count
stands above zero, with nobody under way, is the doing of a function that had to take it down and,
on some path, did not. A count of what is free, as of credits, is waited for to rise: there it is
those that raise it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.conditions import (
    Condition,
    Looked,
    NumberAt,
    conditions,
    woken_queues,
)
from oopsight.evidence.hangs.missed_wake import decisive
from oopsight.evidence.hangs.module_functions import module_functions
from oopsight.evidence.hangs.set_aside import full_heads
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting import Waits, hung
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.known_calls import HANDS_ON, LIST_DELETES, PURGES, UNLINKS
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.module_roles import PACKETS, freers, inner_functions, reaching
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel import count_changes
from oopsight.kernel.branches import branch
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
_MOST_MISSING = 1 << 10
"""By which a count of what is free is looked for to rise."""
_SIZES = (4, 8)
_CHANGES = ("inc", "dec", "add", "sub", "xadd")
_WAKES = ("__wake_up", "swake_up", "complete")
_UNLINKS = frozenset(LIST_DELETES)


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
    """Functions of the module that take it down, the one that waits left out; or raise it, if it is
    waited for to rise."""
    drops: tuple[str, ...] = ()
    """Others that take entries off a list and free them, as those do, and leave the count alone."""
    parks: tuple[str, ...] = ()
    """Others that move entries to a list beside the count which has as many as it counts."""
    keeps: tuple[str, ...] = ()
    """Others that raise the count and can return with nobody to take it down, to whom they hand on
    the rest on another way."""
    rises: bool = False
    """Whether it is waited for to rise: then all this is the other way round."""


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
    module, waiting = condition.module, condition.call.function
    waits = decisive(condition, reader.names.function_at) is None
    for looked in condition.looks:
        count = int.from_bytes(looked.raw, "little", signed=True)
        rises = waits and _is_to_rise(condition.function, looked)
        if looked.size not in _SIZES or not (count > 0 or (rises and not count)):
            continue
        if count >= _MOST_COUNT:
            continue
        changing = _changing(session, reader, module, looked.at, down=not rises)
        changing = tuple(name for name in changing if name != waiting)
        if changing:
            drops = _dropping(session, module, changing)
            parks = () if rises else _parking(session, module, changing, looked.at, count)
            return CountedWait(
                task=condition.wait.task,
                counter=Address(looked.at.address),
                name=reader.names.data(looked.at.address),
                count=count,
                memory=BytesPointer(Address(looked.at.address), looked.raw.hex()),
                module=module.pointer,
                lowers=changing,
                drops=tuple(name for name in drops if name != waiting),
                parks=tuple(name for name in parks if name != waiting),
                keeps=tuple(_keeping(session, reader, module, looked.at, rises=rises)),
                rises=rises,
            )
    return None


def _is_to_rise(function: Function, looked: Looked) -> bool:
    """Whether the task would go on by a greater number, and not by none."""
    now = branch(function, looked.row, looked.number)
    more = range(looked.number + 1, looked.number + _MOST_MISSING)
    if now is None or branch(function, looked.row, 0) != now:
        return False
    return any(branch(function, looked.row, number) != now for number in more)


def _dropping(session: Session, module: Module, counting: tuple[str, ...]) -> tuple[str, ...]:
    """Functions that free what is counted, for what their code tells, and leave the count alone."""
    reader = SessionReader(session)
    code = inner_functions(session, module, reader)
    counts = set(reaching(set(counting), code))
    calls = {base_name(one.name): set(map(base_name, one.outside)) for one in code}
    purging = {name for name, called in calls.items() if called & PURGES}
    free = {*freers(code), *freers(code, PACKETS[0]), *purging}
    if not counts & free:
        return ()
    uses = uses_of(reader, code)
    taking = {n for n, use in uses.items() if use.unlinks or calls.get(n, set()) & UNLINKS}
    return tuple(n for n in uses if n in free & (taking | purging) and n not in counts)


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
    session: Session, reader: StackReader, module: Module, count: NumberAt, *, rises: bool = False
) -> Iterator[str]:
    """Functions that raise the count, and on some way neither hand on the rest nor lower it.

    :param rises: the other way round
    """
    name_of = reader.names.function_at

    def changing(function: Function, *, down: bool) -> Iterator[Instruction]:
        woken = woken_queues(function, name_of)
        for at, row in function.code.items():
            registers = function.registers(at)
            place = memory_place(row, registers) if row.mnemonic in _CHANGES else None
            if place is not None and stores(row) and lowers(row, registers) == down:
                yield from (row,) if count.may_be(place, woken, function) else ()

    def takes(function: Function) -> set[int]:
        return {at for row in changing(function, down=rises) for at in function.ways(row)}

    def gives(function: Function) -> set[int]:
        calls = {at for at, row in function.code.items() if _hands_on(row, name_of)}
        return calls | {row.address for row in changing(function, down=not rises)}

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


def _changing(
    session: Session, reader: StackReader, module: Module, count: NumberAt, *, down: bool
) -> tuple[str, ...]:
    """Functions of a module that take the count down, or raise it."""
    found: dict[str, None] = {}
    try:
        for name, start, _ in machine_code(SessionReader(session), module):
            function = reader.function(start)
            changed = _changed(function, down=down) if function is not None else []
            if function is None or not changed:
                continue
            woken = woken_queues(function, reader.names.function_at)
            if any(count.may_be(place, woken, function) for place in changed):
                found[base_name(name)] = None
    except SymbolError:
        return ()
    return tuple(found)


def _changed(function: Function, *, down: bool) -> list[Expression]:
    """The numbers in memory that a function takes down, or raises."""
    # Read, less one, and written again.
    found = [one.place for one in count_changes.changes(function) if (one.by < 0) == down]
    for at, row in function.code.items():
        registers = function.registers(at)
        lower = lowers(row, registers)
        changes = lower if down else row.mnemonic in _CHANGES and stores(row) and not lower
        place = memory_place(row, registers) if changes else None
        if place is not None and place not in found:
            found.append(place)
    return found

"""Functions that end a wait on some ways only, and what tells that they went another.

An interrupt's handler that returns for a broken transfer without ``complete()``; a callback that
sets what is waited for unless it met an error. What only such a way stores is looked for in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from oopsight.evidence.hangs.signallers import KINDS, signallers
from oopsight.evidence.hangs.stacks import COLD, StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits, hung
from oopsight.evidence.modules.known_calls import CREATES_THREADS, HANDS_ON, STARTS
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.module_roles import start_and_end
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.branches import branch
from oopsight.kernel.code_ahead import GIVES
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    direct_target,
    lowers,
    memory_place,
    stored_number,
    stores,
)
from oopsight.kernel.omissions import Mark, Omission, comes_to, omission
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_WAITS = 4
_MOST_MODULES = 8
_JUMPS = ("je", "jne", "jle", "js")
_NEAR = 4
"""Instructions from a count to the jump that it decides."""


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


class _Code(NamedTuple):
    """A function of a module."""

    module: Module
    name: str
    function: Function


class _Signal(NamedTuple):
    """A function, where it signals, and the object it does so for."""

    code: _Code
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
        for module in signallers(session, modules, wait):
            code = list(_functions(session, reader, modules, module, wait))
            signals = list(_completing(reader, code, wait))
            if not _begun_anew(reader, wait, {one.code.function.start for one in signals}):
                found += _omitted(session, reader, code, wait, signals)
    for condition in conditions(session, reader, waits, modules):
        if decisive(condition, reader.names.function_at) is None:
            code = list(_functions(session, reader, modules, condition.module, condition.wait))
            asked = _asked_for(condition, SessionReader(session).read)
            signals = list(_bringing(reader, code, asked))
            found += _omitted(session, reader, code, condition.wait, signals)
    return OmittedSignals(tuple(sorted(found, key=lambda one: not one.seen)))


def _asked(wait: Wait) -> bool:
    lock = wait.lock
    return lock is not None and lock.kind in KINDS and not lock.holders


def _functions(
    session: Session, reader: StackReader, modules: Modules, module: Module, wait: Wait
) -> Iterator[_Code]:
    """A module's functions, without its first and last and the one that waits.

    Those of the others from outside the kernel after them: they may call what signals.
    """
    waits = wait.call.pc - wait.call.offset if wait.call is not None else None
    others = [one for one in modules.loaded if "O" in one.taints and one.name != module.name]
    memory = SessionReader(session)
    for one in (module, *others[:_MOST_MODULES]):
        edges = start_and_end(session, one.name)
        try:
            for name, start, _ in machine_code(memory, one):
                function = reader.function(start)
                kept = start not in edges and start != waits and COLD not in name
                if function is not None and kept:
                    yield _Code(one, base_name(name), function)
        except SymbolError:
            continue


def _completing(reader: StackReader, code: list[_Code], wait: Wait) -> Iterator[_Signal]:
    """Those of the first module that complete what a task waits for, or may."""
    address = int(wait.lock.address or 0) if wait.lock is not None else 0
    kind = wait.lock.kind if wait.lock is not None else ""
    for here in [one for one in code if one.module is code[0].module]:
        function = here.function
        by_base: dict[str, tuple[list[int], int]] = {}
        for at, row in function.code.items():
            target = direct_target(row) if row.mnemonic in ("call", "jmp") else None
            called = reader.names.function_at(target) if target is not None else None
            thing = function.registers(at).get("rdi")
            if GIVES.get(called or "") == kind and thing is not None:
                by_base.setdefault(thing.base, ([], thing.offset))[0].append(at)
        for base, (sites, offset) in by_base.items():
            if base or offset == address:
                exact = not base or offset in wait.places
                last = counted_down(function, sites) or sites
                yield _Signal(here, last, base, (address - offset) * bool(base), exact)


def counted_down(function: Function, sites: list[int]) -> list[int]:
    """Where it takes a count down before it completes something if that was the last.

    Whoever does that has done its part, whether it was the last or not.
    """
    rows = list(function.code.values())
    return [
        row.address
        for number, row in enumerate(rows)
        if lowers(row, function.registers(row.address))
        and (place := memory_place(row, function.registers(row.address))) is not None
        and place.base != FRAME
        and any(one.mnemonic in _JUMPS for one in rows[number + 1 : number + _NEAR])
        and any(comes_to(function, row.address, site, ()) for site in sites)
    ]


def _asked_for(condition: Condition, read: Reads) -> Iterator[tuple[Looked, Meant]]:
    """The numbers that a task looks at and waits to be others, and whether it would go on."""
    for looked in condition.looks:
        if branch(condition.function, looked.row, looked.number) is not None:
            meant = awaited(condition.function, looked)
            if not meant(looked.number):
                yield looked, meant
    yield from by_running(condition, read, on=False)


def _begun_anew(reader: StackReader, wait: Wait, signalling: set[int]) -> bool:
    """Whether the function that waits calls ``reinit_completion()`` after what may complete it.

    Then whoever completed it did so too early, and is right.
    """
    call, lock = wait.call, wait.lock
    function = reader.function(call.pc - call.offset) if call is not None else None
    if call is None or lock is None or function is None:
        return False
    begun = [
        row.end
        for row in function.code.values()
        if row.mnemonic == "call"
        and (target := direct_target(row)) is not None
        and (target in signalling or (reader.names.function_at(target) or "") in STARTS)
    ]
    anew = [at for at, row in function.code.items() if _clears(function, row, wait)]
    sites = [at for at, row in function.code.items() if row.end == call.pc]
    return any(
        comes_to(function, start, at, sites) and comes_to(function, at, site, ())
        for start in begun
        for at in anew
        for site in sites
    )


def _clears(function: Function, row: Instruction, wait: Wait) -> bool:
    """Whether it sets the count in the completion that is waited for to zero."""
    registers = function.registers(row.address)
    if row.mnemonic != "mov" or not stores(row) or stored_number(row, registers) != 0:
        return False
    place, lock = memory_place(row, registers), wait.lock
    if place is None or lock is None:
        return False
    return place.offset == lock.address if not place.base else place.offset in wait.places


def _bringing(
    reader: StackReader, code: list[_Code], asked: Iterable[tuple[Looked, Meant]]
) -> Iterator[_Signal]:
    """Those of the module that make of a number what the task waits for."""

    def queues(function: Function) -> list[Expression]:
        return woken_queues(function, reader.names.function_at)

    own = [one for one in code if one.module.name == code[0].module.name]
    for looked, meant in asked:
        for here in own:
            for change in changes_of(here.name, here.function, looked, meant, queues):
                base, offset = change.place
                begin = (looked.at.address - offset) * bool(base)
                yield _Signal(here, [change.at], base, begin, exact=True)


def _omitted(
    session: Session,
    reader: StackReader,
    code: list[_Code],
    wait: Wait,
    signals: list[_Signal],
) -> Iterator[OmittedSignal]:
    def aside(target: int) -> bool:
        return COLD in reader.names.code(target)[0]

    exact = any(one.exact for one in signals)
    threads = set(_threads(reader, code))
    told: set[int] = set()
    for one in with_helpers(code, [one for one in signals if one.exact >= exact], aside):
        away = _handing_on(reader, one.code.function)
        left_out = omission(one.code.function, [*one.sites, *away], aside)
        seen = _seen(session, left_out, one) if left_out is not None else None
        # Who comes to nothing may be called again; a thread's function is not.
        if left_out is not None and not left_out.acts and one.code.function.start in threads:
            seen = ()
        if left_out is None or seen is None or one.code.function.start in told:
            continue
        told.add(one.code.function.start)
        at = f"{one.code.name}+{left_out.returns - one.code.function.start:#x}"
        yield OmittedSignal(wait.task, one.code.module.pointer, one.code.name, at, seen)


def _threads(reader: StackReader, code: list[_Code]) -> Iterator[int]:
    """Where what the threads run begins that functions start."""
    for here in code:
        for at, row in here.function.code.items():
            target = direct_target(row) if row.mnemonic == "call" else None
            if target is not None and reader.names.function_at(target) in CREATES_THREADS:
                runs = here.function.registers(at).get("rdi")
                if runs is not None and not runs.base:
                    yield runs.offset


def _handing_on(reader: StackReader, function: Function) -> Iterator[int]:
    """Where it leaves the rest to something else, which may signal later."""
    for at, row in function.code.items():
        target = direct_target(row) if row.mnemonic in ("call", "jmp") else None
        if target is not None and (reader.names.function_at(target) or "") in HANDS_ON:
            yield at


def with_helpers(
    code: list[_Code], signals: list[_Signal], aside: Callable[[int], bool]
) -> Iterator[_Signal]:
    """All that signal, themselves or by a function that does: each with all its places for that.

    Who only calls a function that signals at times leaves it to that.

    :param aside: whether a jump to an address out of the code only leads to a part of it
    """
    direct = _by_function(signals)
    always = _always(direct, aside)
    for here in code:
        calls = [] if here.function.start in direct else _calls(here, direct, always)
        last = counted_down(here.function, [at for at, _ in calls])
        if last:  # it gives a reference back, and has another do what is due with the last one
            direct[here.function.start] = [_as_called(here, *calls[0])._replace(sites=last)]
    always = _always(direct, aside)
    for here in code:
        own = direct.get(here.function.start, [])
        calls = _calls(here, direct, set(direct))
        if own or any(helper.code.function.start in always for _, helper in calls):
            first = own[0] if own else _as_called(here, *calls[0])
            sites = [at for one in own for at in one.sites] + [at for at, _ in calls]
            yield first._replace(sites=sites)


def _by_function(signals: list[_Signal]) -> dict[int, list[_Signal]]:
    found: dict[int, list[_Signal]] = {}
    for one in signals:
        found.setdefault(one.code.function.start, []).append(one)
    return found


def _always(direct: dict[int, list[_Signal]], aside: Callable[[int], bool]) -> set[int]:
    """The functions that signal on all their ways."""
    return {
        start
        for start, ones in direct.items()
        if omission(ones[0].code.function, [at for one in ones for at in one.sites], aside) is None
    }


def _calls(
    here: _Code, direct: dict[int, list[_Signal]], wanted: set[int]
) -> list[tuple[int, _Signal]]:
    """Where a function calls others that signal."""
    return [
        (at, direct[target][0])
        for at, row in here.function.code.items()
        if row.mnemonic in ("call", "jmp")
        and (target := direct_target(row) or 0) in wanted
        and target != here.function.start
    ]


def _as_called(here: _Code, at: int, helper: _Signal) -> _Signal:
    """What a function that calls one which signals has as the object."""
    handed = here.function.registers(at).get("rdi")
    if handed is None or not handed.base or helper.base != "rdi":
        return helper._replace(code=here, base="?", begin=0)
    return helper._replace(code=here, base=handed.base, begin=helper.begin - handed.offset)


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

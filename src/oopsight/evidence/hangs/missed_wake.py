"""A condition that holds while the task that waits for it sleeps on: nobody has woken it.

``wait_event(queue, !atomic_read(&inflight))`` with a count of zero: whoever waits is right to wait.
Some function has made the condition true and did not wake the queue, or not in a way that wakes
such a task. ``wait_on_bit()`` waits likewise for a bit to be clear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.bit_wait import ClearBit, clear_bits, cleared_by, wakes_bit
from oopsight.evidence.hangs.conditions import (
    Condition,
    Looked,
    Meant,
    by_running,
    conditions,
    woken_queues,
)
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting import Waits, hung
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.module_roles import start_and_end
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.branches import branch, comes_back
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE
from oopsight.kernel.machine_code import (
    Expression,
    Instruction,
    Registers,
    direct_target,
    lowers,
    memory_place,
    stored_number,
    writes_memory,
)
from oopsight.plumbing import base_name
from oopsight.session import Session

_COUNTS = ("inc", "dec", "add", "sub", "xadd")
_SETS = ("or", "bts")
_BITS = ("and", "or", "xor", "btr", "bts", "btc", "xchg", "cmpxchg")
_WAKES = ("__wake_up", "wake_up_", "swake_up", "complete", "rcuwait_wake_up", "try_to_wake_up")
_OF_A_QUEUE = ("__wake_up", "swake_up")
_UNINTERRUPTIBLE = 2  # TASK_UNINTERRUPTIBLE
_WAITED = ("finish_wait", "finish_swait")
_DEEPEST = 3
_MOST_STEPS = 64


@dataclass(frozen=True)
class MissedWake:
    """What is waited for and is there, and who can have brought it about."""

    task: TaskPointer
    number: Address
    name: str | None
    value: int
    memory: BytesPointer
    module: ModulePointer
    silent: tuple[str, ...]
    """Functions of the module that bring it about and wake nobody after that, on any way."""
    waking: tuple[str, ...]
    """Others that bring it about."""


@dataclass(frozen=True)
class MissedWakes:
    """Those of all tasks that hang."""

    wakes: tuple[MissedWake, ...]

    def of(self, task: int) -> MissedWake | None:
        """That of a task, by its address."""
        return next((one for one in self.wakes if one.task.address == task), None)


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> MissedWakes | Missing:
    """Look whether what modules' functions wait for is there already."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    reader = StackReader(session, modules)
    found = [_missed(session, reader, one) for one in conditions(session, reader, waits, modules)]
    found += [
        _missed_bit(session, reader, one) for one in clear_bits(session, reader, waits, modules)
    ]
    return MissedWakes(tuple(one for one in found if one is not None))


def _missed(session: Session, reader: StackReader, condition: Condition) -> MissedWake | None:
    looked = decisive(condition, reader.names.function_at)
    if looked is not None:
        pairs = [(looked, awaited(condition.function, looked))]
    else:
        pairs = by_running(condition, SessionReader(session).read)
    if not pairs:
        return None
    module, lock = condition.module, condition.wait.lock
    try:
        code = list(_functions(session, reader, module, condition.function.start))
    except SymbolError:
        return None
    queue = int(lock.address) if lock is not None and lock.address is not None else None
    waking = Waking(wakes_queue(queue), code, reader.names.function_at)
    found = []
    for number, meant in pairs:
        silent, loud = by_waking(code, _changes(reader, code, number, meant), waking)
        found.append((number, silent, loud))
    looked, silent, loud = min(found, key=lambda one: (not one[1], not one[2]))
    if not silent and not loud:
        return None
    return MissedWake(
        task=condition.wait.task,
        number=Address(looked.at.address),
        name=reader.names.data(looked.at.address),
        value=looked.number,
        memory=BytesPointer(Address(looked.at.address), looked.raw.hex()),
        module=module.pointer,
        silent=silent,
        waking=loud,
    )


def _changes(
    reader: StackReader, code: list[tuple[str, Function]], looked: Looked, meant: Meant
) -> list[Change]:
    """Where functions make of a number one that is waited for."""
    return [
        change
        for name, function in code
        for change in changes_of(
            name, function, looked, meant, lambda one: woken_queues(one, reader.names.function_at)
        )
    ]


def _missed_bit(session: Session, reader: StackReader, bit: ClearBit) -> MissedWake | None:
    lock = bit.wait.lock
    try:
        code = list(_functions(session, reader, bit.module))
    except SymbolError:
        return None
    changes = [
        Change(name, function, row.end)
        for name, function in code
        for row in cleared_by(function, bit)
    ]
    wakes = wakes_bit(bit.word, bit.number)
    silent, waking = by_waking(code, changes, Waking(wakes, code, reader.names.function_at))
    if not silent and not waking:
        return None
    return MissedWake(
        task=bit.wait.task,
        number=Address(bit.word),
        name=lock.title if lock is not None else None,
        value=0,
        memory=BytesPointer(Address(bit.word), bit.raw.hex()),
        module=bit.module.pointer,
        silent=silent,
        waking=waking,
    )


def _functions(
    session: Session, reader: StackReader, module: Module, waits: int | None = None
) -> Iterator[tuple[str, Function]]:
    """A module's functions, without its first and last and the one that waits."""
    edges = start_and_end(session, module.name)
    for name, start, _ in machine_code(SessionReader(session), module):
        function = reader.function(start)
        if function is not None and start not in edges and start != waits:
            yield base_name(name), function


def decisive(condition: Condition, name_of: Callable[[int], str | None]) -> Looked | None:
    """The number by which the task would go on if it looked now; ``None`` where it would not.

    :param name_of: names the function at an address
    """
    function = condition.function
    ends = frozenset(_waited(function, name_of))
    decided: dict[int, int] = {}
    leaves = None
    for looked in condition.looks:
        found = branch(function, looked.row, looked.number)
        if found is None:
            continue
        jump, there = found
        decided[jump] = there
        if leaves is None and not comes_back(function, jump, {jump: there}, ends):
            leaves = looked
    if leaves is None or comes_back(function, condition.call.pc, decided, ends):
        return None
    return leaves


def _waited(function: Function, name_of: Callable[[int], str | None]) -> Iterator[int]:
    """Where a wait is over: what comes after may wait again, but for another time."""
    for at, row in function.code.items():
        target = direct_target(row) if row.mnemonic == "call" else None
        if target is not None and name_of(target) in _WAITED:
            yield at


def awaited(function: Function, looked: Looked) -> Callable[[int], bool]:
    """Tells of a number whether the function would go on by it as by the one that it found."""
    now = branch(function, looked.row, looked.number)
    return lambda number: branch(function, looked.row, number) == now


class Waking:
    """Which calls of a module's functions wake those that wait.

    :param wakes: tells of a call of the kernel, by its name, the registers and where the queue is,
        if the code has that, whether it may
    :param code: the module's functions
    :param name_of: names the function at an address
    """

    def __init__(
        self,
        wakes: Callable[[str, Registers, Expression | None], bool],
        code: list[tuple[str, Function]],
        name_of: Callable[[int], str | None],
    ) -> None:
        self._wakes_here = wakes
        self._name_of = name_of
        self._code = {function.start: function for _, function in code}
        self._wake: dict[int, bool] = {}

    def after(
        self,
        function: Function,
        site: int,
        depth: int = 0,
        queue: Expression | None = None,
        but: int | None = None,
    ) -> bool:
        """Whether the function can come to such a call from an address on.

        :param queue: where the function has the queue, if it tells
        :param but: a function that is known not to make one
        """
        seen: set[int] = set()
        ways = [site]
        while ways:
            at = ways.pop()
            row = function.code.get(at)
            if at in seen or row is None:
                continue
            seen.add(at)
            calls = row.mnemonic in ("call", "jmp") and (but is None or direct_target(row) != but)
            if calls and self._wakes(function, row, depth, queue):
                return True
            ways += function.ways(row)
        return False

    def _wakes(
        self, function: Function, row: Instruction, depth: int, queue: Expression | None
    ) -> bool:
        target = direct_target(row)
        if target is None or (target in function.code and row.mnemonic == "jmp"):
            return False
        inner = self._code.get(target)
        if inner is not None:
            return depth < _DEEPEST and self._inside(inner, depth + 1)
        name = self._name_of(target) or ""
        return self._wakes_here(name, function.registers(row.address), queue)

    def _inside(self, function: Function, depth: int) -> bool:
        if function.start not in self._wake:
            self._wake[function.start] = False  # of one that calls itself
            self._wake[function.start] = self.after(function, function.start, depth)
        return self._wake[function.start]


def wakes_queue(queue: int | None) -> Callable[[str, Registers, Expression | None], bool]:
    """Tells of a call whether it may wake a queue, and who sleeps there uninterruptibly.

    :param queue: its address
    """

    def wakes(called: str, registers: Registers, here: Expression | None = None) -> bool:
        if not called.startswith(_WAKES) or not called.startswith(_OF_A_QUEUE):
            return called.startswith(_WAKES)
        woken, mode = registers.get("rdi"), registers.get("rsi")
        if woken is not None and not woken.base and queue not in (None, woken.offset):
            return False
        if woken is not None and here is not None and woken.base == here.base and woken != here:
            return False
        known = called.startswith("__wake_up") and mode is not None and not mode.base
        return mode is None or not known or bool(mode.offset & _UNINTERRUPTIBLE)

    return wakes


class Change(NamedTuple):
    """A place in the code that brings the condition about."""

    name: str
    function: Function
    end: int
    """Of the instruction."""
    at: int = 0
    place: Expression = Expression("", 0)
    """What it changes."""
    queue: Expression | None = None
    """Where the queue is, if the code has it in the same object."""


def by_waking(
    code: list[tuple[str, Function]], changes: list[Change], waking: Waking
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The functions that bring the condition about: those that wake nobody after it, and others.

    Of one that leaves the waking to its callers these are asked in its place.
    """
    silent: dict[str, None] = {}
    loud: dict[str, None] = {}
    for change in changes:
        if waking.after(change.function, change.end, queue=change.queue):
            loud[change.name] = None
            continue
        callers = [site for name, function in code for site in _calls(name, function, change)]
        own = change.function.start
        quiet = [one.name for one in callers if not waking.after(one.function, one.end, but=own)]
        if callers and not quiet:
            loud[change.name] = None
        else:
            some = len(quiet) < len(callers)
            silent |= dict.fromkeys(quiet if some else (change.name,))
    return tuple(silent), tuple(name for name in loud if name not in silent)


def _calls(name: str, function: Function, change: Change) -> Iterator[Change]:
    for row in function.code.values():
        if row.mnemonic == "call" and direct_target(row) == change.function.start:
            yield Change(name, function, row.end)


def changes_of(
    name: str,
    function: Function,
    looked: Looked,
    awaited: Callable[[int], bool],
    queues: Callable[[Function], list[Expression]],
) -> Iterator[Change]:
    """Where a function makes of the number one that is waited for."""
    woken: list[Expression] | None = None
    for at, row in function.code.items():
        registers = function.registers(at)
        place = memory_place(row, registers) if writes_memory(row) else None
        if place is None or not _brings_about(row, registers, looked, awaited):
            continue
        if woken is None:
            woken = queues(function)
        if looked.at.may_be(place, woken, function):
            queue = place.plus(-looked.at.from_queue) if place.base else None
            yield Change(name, function, row.end, at, place, queue)


def _brings_about(
    row: Instruction, registers: Registers, looked: Looked, awaited: Callable[[int], bool]
) -> bool:
    """Whether it may have made the number what is waited for, of one that is not."""
    mask = (1 << 8 * looked.size) - 1
    if row.mnemonic in _COUNTS:
        step = 1 if lowers(row, registers) else -1
        # It may have gone on since: a ring that had room for one may be empty by now.
        earlier = (looked.number + step * n for n in range(1, _MOST_STEPS))
        return any(0 <= one <= mask and not awaited(one) for one in earlier)
    if row.mnemonic == "mov":
        number = stored_number(row, registers)
        same = int(row.operands[0].size) == looked.size
        return same and (number is None or awaited(number & mask))
    mask_of = _bits_changed(row)
    if mask_of is not None:
        bits = mask_of & mask
        sets = row.mnemonic in _SETS
        before = looked.number & ~bits if sets else looked.number | bits
        after = before | bits if sets else before & ~bits
        return awaited(after) and not awaited(before)
    return row.mnemonic in _BITS or row.mnemonic.startswith("set")


def _bits_changed(row: Instruction) -> int | None:
    """The bits that an instruction sets or clears, where its code has them as a number."""
    operand = row.operands[-1]
    if operand.type != IMMEDIATE:
        return None
    size = 8 * int(row.operands[0].size)
    if row.mnemonic in ("bts", "btr"):
        return 1 << int(operand.imm) % size
    bits = int(operand.imm) & ((1 << size) - 1)
    return {"or": bits, "and": ~bits & ((1 << size) - 1)}.get(row.mnemonic)

"""Calls that a module's functions made before: return addresses left on stacks.

A call writes its return address to the stack, and there it stays after the return until another
call writes over it. It tells that this call was made some time, on the stack of that task or in an
interrupt on that CPU: not when, and not with what. It serves to choose between suspects.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.stacks import task_pointer
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.known_calls import FREES
from oopsight.evidence.modules.module_roles import is_copy
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, TaskPointer
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_TASKS = 128
_MOST_LISTED = 4096
_MOST_CPUS = 64
_MOST_FOUND = 64
_STACK = 1 << 14  # THREAD_SIZE and IRQ_STACK_SIZE of x86-64
_CALL = struct.Struct("<i")
_CALL_OPCODE = 0xE8
_CALL_SIZE = 5
_WORD = 8


@dataclass(frozen=True)
class Footprint:
    """A call that was made, and has returned."""

    function: str
    """Of the module, base name."""
    called: str
    stack: str
    """Whose, in words."""
    memory: BytesPointer
    """The return address."""


@dataclass(frozen=True)
class Footprints:
    """Of one module under suspicion; of each call the first that was found."""

    module: str
    found: tuple[Footprint, ...]

    def freeing(self, function: str) -> Footprint | None:
        """A call with which a function freed something."""
        made = (one for one in self.found if one.function == function)
        return next((one for one in made if one.called.lstrip("_") in FREES), None)

    def copying(self, function: str) -> Footprint | None:
        """A call with which a function had something written."""
        made = (one for one in self.found if one.function == function)
        return next((one for one in made if is_copy(one.called)), None)

    def to(self, function: str) -> Footprint | None:
        """A call of a function."""
        return next((one for one in self.found if one.called == function), None)


def collect(
    session: Session,
    doers: Doers | Missing,
    users: ObjectUsers,
    modules: Modules,
    backtrace: Backtrace | Missing,
) -> Footprints | Missing:
    """Look through the stacks, where several functions may have freed or run over the object."""
    name = _writers_of(users) if users.overrun is not None else _freers_of(users, doers)
    if name is None:
        return Missing(Why.NOT_APPLICABLE, "there are no several functions to choose between")
    module = next((one for one in modules.loaded if one.name == name), None)
    if module is None:
        return Missing(Why.NOT_APPLICABLE, f"{name} is not loaded")
    frames = backtrace.frames if isinstance(backtrace, Backtrace) else ()
    found: dict[tuple[str, str], Footprint] = {}
    reader = SessionReader(session)
    going_on = {frame.pc for frame in frames}
    for name, base in itertools.chain(_interrupt_stacks(session), _task_stacks(session)):
        for one in left_on(reader, name, base, module):
            if int.from_bytes(bytes.fromhex(one.memory.bytes), "little") in going_on:
                continue
            found.setdefault((one.function, one.called), one)
            if len(found) >= _MOST_FOUND:
                break
    return Footprints(module.name, tuple(found.values()))


def left_on(reader: SessionReader, name: str, base: int, module: Module) -> Iterator[Footprint]:
    """Calls of a module's functions that a stack tells of; those that go on are among them.

    :param name: of the stack, in words
    :param base: where it begins
    """
    for at, word in _words(reader.read(base, _STACK), base, module):
        call = _call_before(reader, word)
        if call is not None:
            memory = BytesPointer(Address(at), word.to_bytes(_WORD, "little").hex())
            yield Footprint(*call, name, memory)


def stack_of(task: TaskPointer) -> str:
    """The stack of a task, in words."""
    return f"the stack of {task.comm} ({task.pid})"


def _freers_of(users: ObjectUsers, doers: Doers | Missing) -> str | None:
    """The module of which several functions may have freed the object."""
    if isinstance(doers, Missing) or users.object.track("freed") is not None:
        return None
    return doers.module if len((*doers.frees, *doers.allocates)) > 1 else None


def _writers_of(users: ObjectUsers) -> str | None:
    """The most suspect module, if several of its functions may have run over the object."""
    first = next(iter(users.modules), None)
    return first.module if first is not None and len(set(first.ranks)) < len(first.ranks) else None


def _words(data: bytes | None, base: int, module: Module) -> Iterator[tuple[int, int]]:
    """Where a stack holds addresses of a module's memory, and these."""
    for begin, end in module.ranges if data else ():
        # All addresses in modules have these bytes in common.
        common = int(begin).to_bytes(_WORD, "little")[5:]
        at = data.find(common) if data else -1
        while data and at >= 0:
            start = at - 5
            if start >= 0 and start % _WORD == 0:
                word = int.from_bytes(data[start : start + _WORD], "little")
                if begin <= word < end:
                    yield base + start, word
            at = data.find(common, at + 1)


def _call_before(reader: SessionReader, address: int) -> tuple[str, str] | None:
    """Function, and the one that its direct call before an address leads to."""
    code = reader.read(address - _CALL_SIZE, _CALL_SIZE)
    # The address after a call that does not return belongs to no function, or to the next.
    function = reader.code_symbol(address - _CALL_SIZE)
    if code is None or code[0] != _CALL_OPCODE or function is None:
        return None
    target = (address + _CALL.unpack(code[1:])[0]) & ((1 << 64) - 1)
    called = reader.function(target)
    if called is None or called[1] != target:
        return None
    return base_name(function[0]), base_name(called[0])


def _task_stacks(session: Session) -> Iterator[tuple[str, int]]:
    """Of the tasks that ran last: their names, and where their stacks begin."""
    from drgn import FaultError
    from drgn.helpers.linux.pid import for_each_task

    listed: list[tuple[int, str, int]] = []
    try:
        for task in itertools.islice(for_each_task(session.prog), _MOST_LISTED):
            name = stack_of(task_pointer(task))
            listed.append((_last_ran(task), name, task.stack.value_()))
    except (FaultError, LookupError, SymbolError):
        pass
    for _, name, base in sorted(listed, reverse=True)[:_MOST_TASKS]:
        yield name, base


def _last_ran(task: Any) -> int:
    try:
        return int(task.se.exec_start.value_())
    except AttributeError:
        return 0


def _interrupt_stacks(session: Session) -> Iterator[tuple[str, int]]:
    """Of the CPUs, on which soft interrupts run, too."""
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    prog = session.prog
    try:
        for cpu in itertools.islice(for_each_possible_cpu(prog), _MOST_CPUS):
            try:
                top = per_cpu(prog["hardirq_stack_ptr"], cpu).value_()
            except LookupError:
                # in struct pcpu_hot from Linux 6.2 (commit d7b6d709a76a) to 6.14
                top = per_cpu(prog["pcpu_hot"], cpu).hardirq_stack_ptr.value_()
            if top:
                yield f"the interrupt stack of CPU {cpu}", top + _WORD - _STACK
    except (FaultError, LookupError, AttributeError, SymbolError):
        return

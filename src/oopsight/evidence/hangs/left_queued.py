"""Functions that put what they are handed where it is worked off, and set that going at times.

``list_add_tail(&job->entry, &engine->jobs); if (engine->running) queue_work(wq, &engine->work);``:
a job that a task hands over and then waits for stays there. Only functions are asked that a
function calls which waits, in its own module or in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.module_functions import module_functions
from oopsight.evidence.hangs.stacks import COLD, StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits, hung
from oopsight.evidence.modules.known_calls import LINKS, STARTS
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import ModulePointer, TaskPointer
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_ahead import GIVES
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import FRAME, direct_target, memory_place, stored, stores
from oopsight.kernel.omissions import comes_to, omission
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_WAITS = 4
_MOST_MODULES = 8
_KINDS = ("completion", "event", "fence")


@dataclass(frozen=True)
class LeftQueued:
    """A function, and its way out."""

    task: TaskPointer
    """Who waits."""
    module: ModulePointer
    function: str
    puts_at: str
    """Symbol and offset of where it puts what it is handed."""
    returns_at: str


@dataclass(frozen=True)
class LeftQueues:
    """Those of all tasks that hang."""

    found: tuple[LeftQueued, ...]

    def of(self, task: int) -> tuple[LeftQueued, ...]:
        """Those for a task, by its address."""
        return tuple(one for one in self.found if one.task.address == task)


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> LeftQueues | Missing:
    """Read the code that the waiting functions call."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    reader = StackReader(session, modules)
    found: list[LeftQueued] = []
    for wait in [one for one in waits.victims if _asked(one)][:_MOST_WAITS]:
        found += _of_wait(session, reader, modules, wait)
    return LeftQueues(tuple(found))


def _asked(wait: Wait) -> bool:
    lock = wait.lock
    return wait.call is not None and lock is not None and lock.kind in _KINDS and not lock.holders


def _of_wait(
    session: Session, reader: StackReader, modules: Modules, wait: Wait
) -> Iterator[LeftQueued]:
    own = wait.call.module if wait.call is not None else None
    waiting = {call.pc - call.offset for call in wait.stack.calls if call.module == own}
    outside = [one for one in modules.loaded if "O" in one.taints][:_MOST_MODULES]
    code = {module.name: _code(session, reader, module) for module in outside}
    called = _called(code.get(own or "", {}), waiting)
    for module in sorted(outside, key=lambda one: one.name == own):
        functions = code[module.name]
        setting = _setting_going(reader, functions.values())
        for name, function in functions.items():
            left = None
            if function.start in called - waiting:
                left = left_queued(reader, function, setting)
            if left is not None:
                puts, returns = (f"{name}+{at - function.start:#x}" for at in left)
                yield LeftQueued(wait.task, module.pointer, base_name(name), puts, returns)


def _code(session: Session, reader: StackReader, module: Module) -> dict[str, Function]:
    try:
        functions = module_functions(session, reader, module)
    except SymbolError:
        return {}
    return {name: one for name, one in functions.items() if COLD not in name}


def _called(own: dict[str, Function], waiting: set[int]) -> set[int]:
    """What the waiting functions call, and what functions of their module do that they call."""
    begins = {function.start for function in own.values()}
    first = _targets(own, waiting)
    return first | _targets(own, first & begins)


def _targets(own: dict[str, Function], begins: set[int]) -> set[int]:
    return {
        target
        for function in own.values()
        if function.start in begins
        for row in function.code.values()
        if row.mnemonic in ("call", "jmp") and (target := direct_target(row)) is not None
    }


def _setting_going(reader: StackReader, functions: Iterable[Function]) -> set[int]:
    """Functions of a module that set something going on all their ways."""
    return {
        one.start
        for one in functions
        if (sites := _kicks(reader, one, set()))
        and omission(one, sites, lambda at: COLD in reader.names.code(at)[0]) is None
    }


def _kicks(reader: StackReader, function: Function, setting: set[int]) -> list[int]:
    """Where it sets going what does the rest, or wakes it."""
    found = []
    for at, row in function.code.items():
        target = direct_target(row) if row.mnemonic in ("call", "jmp") else None
        if target is None or (row.mnemonic == "jmp" and target in function.code):
            continue
        name = reader.names.function_at(target) or ""
        if name in STARTS or GIVES.get(name) in ("event", "completion") or target in setting:
            found.append(at)
    return found


def left_queued(
    reader: StackReader, function: Function, setting: set[int]
) -> tuple[int, int] | None:
    """Where a function puts what it is handed, and returns then without setting anything going.

    :param setting: functions that set something going on all their ways
    :return: ``None`` where it always does, or never
    """
    kicks = _kicks(reader, function, setting)
    ends = [
        at
        for at, row in function.code.items()
        if row.mnemonic == "ret" or (row.mnemonic == "jmp" and not function.ways(row))
    ]
    for at in _puts(reader, function) if kicks else ():
        if not any(comes_to(function, at, kick, ()) for kick in kicks):
            continue
        for end in ends:
            if end not in kicks and comes_to(function, at, end, kicks):
                return at, end
    return None


def _puts(reader: StackReader, function: Function) -> Iterator[int]:
    """Where it stores a pointer to something that it was handed, elsewhere than in that itself."""
    for at, row in function.code.items():
        registers = function.registers(at)
        target = direct_target(row) if row.mnemonic == "call" else None
        if target is not None and reader.names.function_at(target) in LINKS:
            thing = registers.get("rdi")
            if thing is not None and thing.base in ARGUMENTS:
                yield at
        if row.mnemonic != "mov" or not stores(row):
            continue
        value, place = stored(row, registers), memory_place(row, registers)
        if value is None or value.base not in ARGUMENTS or row.operands[0].size != 8:
            continue
        if place is None or place.base not in (value.base, FRAME):
            yield at

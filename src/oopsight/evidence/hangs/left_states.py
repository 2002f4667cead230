"""A state that a task waits to be left, and the functions that bring it about.

``wait_event(queue, gate->state == IDLE)``: that the gate is moving, and nothing moves it, is the
doing of a function that has set the state and on some way did not set it back, as others do.
"""

from __future__ import annotations

from collections.abc import Callable

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.conditions import Condition, Looked, conditions, woken_queues
from oopsight.evidence.hangs.module_functions import module_functions
from oopsight.evidence.hangs.stacks import COLD, StackReader
from oopsight.evidence.hangs.waiting import Waits, hung
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.branches import branch
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import memory_place, stored_number, writes_memory
from oopsight.plumbing import base_name
from oopsight.session import Session

_LARGEST = 256
"""A number above is no state."""


@dataclass(frozen=True)
class LeftState:
    """The state, and who sets it."""

    task: TaskPointer
    name: str | None
    number: int
    memory: BytesPointer
    module: ModulePointer
    sets: tuple[str, ...]
    """Functions that set it so: first those that set nothing else there, where others that set it
    so do."""


@dataclass(frozen=True)
class LeftStates:
    """Those of all tasks that hang."""

    found: tuple[LeftState, ...]

    def of(self, task: int) -> LeftState | None:
        """That of a task, by its address."""
        return next((one for one in self.found if one.task.address == task), None)


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> LeftStates | Missing:
    """Look at the conditions that modules' functions wait for."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    reader = StackReader(session, modules)
    found = [_left(session, reader, one) for one in conditions(session, reader, waits, modules)]
    return LeftStates(tuple(one for one in found if one is not None))


def _left(session: Session, reader: StackReader, condition: Condition) -> LeftState | None:
    try:
        code = module_functions(session, reader, condition.module)
    except SymbolError:
        return None
    waiting = condition.call.function
    whole = {name: one for name, one in code.items() if COLD not in name}
    for looked in condition.looks:
        if looked.number >= _LARGEST or branch(condition.function, looked.row, 0) is None:
            continue
        setting = {
            base_name(name): numbers
            for name, one in whole.items()
            if (numbers := numbers_set(one, looked, reader.names.function_at))
        }
        sets = who_sets(setting, looked.number)
        sets = tuple(name for name in sets if name != waiting)
        if sets:
            return LeftState(
                task=condition.wait.task,
                name=reader.names.data(looked.at.address),
                number=looked.number,
                memory=BytesPointer(Address(looked.at.address), looked.raw.hex()),
                module=condition.module.pointer,
                sets=sets,
            )
    return None


def numbers_set(
    function: Function, looked: Looked, name_of: Callable[[int], str | None]
) -> frozenset[int]:
    """The numbers of its own that a function stores where the one that waits looks."""
    woken = None
    found: set[int] = set()
    for at, row in function.code.items():
        if row.mnemonic != "mov" or not writes_memory(row):
            continue
        registers = function.registers(at)
        place, number = memory_place(row, registers), stored_number(row, registers)
        if place is None or number is None or int(row.operands[0].size) != looked.size:
            continue
        woken = woken_queues(function, name_of) if woken is None else woken
        if looked.at.may_be(place, woken, function):
            found.add(number & ((1 << 8 * looked.size) - 1))
    return frozenset(found)


def who_sets(setting: dict[str, frozenset[int]], number: int) -> tuple[str, ...]:
    """Who sets a state; before others those that set only that, if some set it back as well.

    :param setting: the numbers that functions store there
    """
    so = [name for name, numbers in setting.items() if number in numbers]
    alone = [name for name in so if len(setting[name]) == 1]
    others = [name for name, numbers in setting.items() if number not in numbers]
    # Where nobody sets another number, it is no state.
    return tuple(alone or so) if others or len(alone) < len(so) else ()

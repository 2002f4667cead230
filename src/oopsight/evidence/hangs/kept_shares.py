"""Something of which tasks take a share and give it back, and functions that can keep theirs.

``wait_event(queue, credits > 0); credits--;`` and ``credits++; wake_up(queue)``; or a bit in a map
of free slots. Who waits finds none, as somebody who took one returned without giving it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.module_functions import of_waiting
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits, hung
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import ModulePointer, TaskPointer
from oopsight.kernel.code_locks import Function
from oopsight.kernel.count_changes import changes
from oopsight.kernel.disassembler import MEMORY
from oopsight.kernel.loops import loop_at
from oopsight.kernel.machine_code import FRAME, Expression, direct_target, memory_place
from oopsight.kernel.shares import keeping, spread
from oopsight.plumbing import base_name
from oopsight.session import Session

_DEEPEST = 2
_SETS, _CLEARS = ("bts",), ("btr",)
_BIT = 0


@dataclass(frozen=True)
class KeptShare:
    """A function that can return with a share."""

    task: TaskPointer
    """Who waits for one."""
    module: ModulePointer
    function: str
    taken_at: str
    returns_at: str


@dataclass(frozen=True)
class KeptShares:
    """For all tasks that hang."""

    found: tuple[KeptShare, ...]

    def of(self, task: int) -> tuple[KeptShare, ...]:
        """Those for a task, by its address."""
        return tuple(one for one in self.found if one.task.address == task)


class Share(NamedTuple):
    """What is taken."""

    place: Expression
    sign: int
    """Which way a number is changed to take one of it: -1 or 1; 0 for a bit that is set."""

    def is_at(self, place: Expression) -> bool:
        """Whether another function may mean the same."""
        same = bool(place.base) == bool(self.place.base)
        return same and place.base != FRAME and place.offset == self.place.offset


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> KeptShares | Missing:
    """Read the code of modules whose functions wait, and take something when they go on."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    reader = StackReader(session, modules)
    found: list[KeptShare] = []
    for wait, module, code in of_waiting(session, reader, modules, waits, _asked):
        call = wait.call
        function = reader.function(call.pc - call.offset) if call is not None else None
        for share in wanted(function, code) if function is not None else ():
            for name, one, way in keeping(spread(code, *moves_of(share))):
                plain, start = base_name(name), one.start
                at, end = f"{plain}+{way.taken - start:#x}", f"{plain}+{way.returns - start:#x}"
                found.append(KeptShare(wait.task, module.pointer, plain, at, end))
    return KeptShares(tuple(dict.fromkeys(found)))


def _asked(wait: Wait) -> bool:
    return wait.lock is not None and wait.lock.kind == "event" and not wait.lock.holders


def wanted(function: Function, code: dict[str, Function]) -> list[Share]:
    """What the function that waits takes, itself or by those it calls in the loop of its wait."""
    by_start = {one.start: one for one in code.values()}
    looked, nearest = {function.start: function}, [function]
    for _ in range(_DEEPEST):
        called = [
            by_start[at] for one in nearest for at in _called(one, function) if at in by_start
        ]
        nearest = [one for one in called if one.start not in looked]
        looked |= {one.start: one for one in nearest}
    found: dict[Share, None] = {}
    for one in looked.values():
        shares = list(_shares(one))
        # Who takes and gives the same itself has it only meanwhile.
        for share in shares:
            if share.sign == _BIT or share._replace(sign=-share.sign) not in shares:
                found[share] = None
    return list(found)


def _called(one: Function, waiting: Function) -> Iterator[int]:
    """The functions that it calls; of the one that waits, in a loop."""
    for at, row in one.code.items():
        target = direct_target(row) if row.mnemonic in ("call", "jmp") else None
        if target is not None and (one is not waiting or loop_at(one, at)):
            yield target


def _shares(function: Function) -> Iterator[Share]:
    for one in changes(function):
        yield Share(one.place, 1 if one.by > 0 else -1)
    for place, _ in _bits(function, _SETS):
        yield Share(place, _BIT)


def _bits(function: Function, names: tuple[str, ...]) -> Iterator[tuple[Expression, int]]:
    """The words in which it sets or clears a bit whose number it was told, and where."""
    for at, row in function.code.items():
        if row.mnemonic not in names or not row.operands or row.operands[0].type != MEMORY:
            continue
        place = memory_place(row, function.registers(at))
        if place is not None and place.base != FRAME:
            yield place, at


def moves_of(
    share: Share,
) -> tuple[Callable[[Function], set[int]], Callable[[Function], set[int]]]:
    """Where a function takes such a share, and where it gives one back."""

    def at_place(function: Function, sign: int) -> set[int]:
        if share.sign == _BIT:
            names = _SETS if sign > 0 else _CLEARS
            return {at for place, at in _bits(function, names) if share.is_at(place)}
        return {
            one.at
            for one in changes(function)
            if share.is_at(one.place) and (one.by > 0) == (share.sign * sign > 0)
        }

    def takes(function: Function) -> set[int]:
        rows = (function.code[at] for at in at_place(function, 1))
        return {there for row in rows for there in function.ways(row)}

    return takes, lambda function: at_place(function, -1)

"""Something that was switched off and never on again, by which a task hangs; and who can have.

NAPI that is disabled for the second time, a tasklet that is to end and is disabled, an interrupt
that is disabled while its driver waits for it, a disk's queue that is frozen, quiesced or stopped.
The code of the module that has it is read
for functions that can return with it off, which they switch on again on another way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.io_in_flight import waits_for_io
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.stopped_timers import stopped_timers
from oopsight.evidence.hangs.switches import INTERRUPT, SWITCHES
from oopsight.evidence.hangs.waiting import Lock, Wait, Waits, hung, polling, tasklet
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import Memory, ModulePointer, TaskPointer
from oopsight.kernel.block_requests import hardware_queues, has_requests
from oopsight.kernel.left_off import Switch, Ways, ways_out
from oopsight.kernel.machine_code import FRAME, Expression, Instruction, direct_target
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.text import printable

_MOST_WAITS = 16
_MOSTINTERRUPTS = 4096
_MOST_DISKS = 1024
_DEEPEST = 3
_COUNTED = {"inc": Switch.OFF, "dec": Switch.ON}
_ENTERS = ("blk_queue_enter", "__bio_queue_enter", "bio_queue_enter")
_SLEEPS = ("completion", "event")
_FOR_GOOD = (INTERRUPT, "timer", "hrtimer", "work")
"""Off since it was requested, or stopped for good, perhaps."""
_STOPPED = 1 << 0  # BLK_MQ_S_STOPPED


@dataclass(frozen=True)
class LeftOff:
    """A function that can have left it off."""

    function: str
    off_at: str | None
    """Symbol and offset of the call that switches it off; ``None`` for a function that polls, and
    has not said that this is complete."""
    returns_at: str | None
    back: bool
    """Whether it switches it on again on another way."""
    twice: bool = False
    """Whether it hangs as it switches off what is off by right: others switch off and on in turn,
    as the kernel calls them."""


@dataclass(frozen=True)
class SwitchedOff:
    """What is off, and for whom a task hangs by it."""

    task: TaskPointer
    kind: str
    """``polling``, ``tasklet``, ``interrupt``, ``queue``."""
    title: str
    module: ModulePointer
    because: tuple[Memory, ...]
    by: tuple[LeftOff, ...]
    """Those first that switch it on again on another way; without these, those that never do."""


@dataclass(frozen=True)
class SwitchedOffs:
    """Those of all tasks that hang."""

    found: tuple[SwitchedOff, ...]

    def of(self, task: int) -> SwitchedOff | None:
        """That of a task, by its address."""
        return next((one for one in self.found if one.task.address == task), None)


class _Thing(NamedTuple):
    kind: str
    title: str
    module: Module
    because: tuple[Memory, ...]
    unfinished: str | None = None
    """The function that has not said that it has done."""
    counted_at: frozenset[int] = frozenset()
    """Where it is counted how often it is off: the address, and its distances from what the code
    has pointers to."""


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> SwitchedOffs | Missing:
    """Look at what the tasks hang by, and where something is off at the module's code."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    searches: dict[tuple[str, str], Search] = {}
    found = []
    for wait in waits.waits[:_MOST_WAITS]:
        thing = next(_things(session, wait, modules), None)
        if thing is None:
            continue
        if thing.unfinished is not None:
            by: tuple[LeftOff, ...] = (LeftOff(thing.unfinished, None, None, back=True),)
        else:
            search = searches.setdefault(
                (thing.kind, thing.module.name),
                Search(session, modules, thing.kind, thing.module, thing.counted_at),
            )
            by = _left_by(search, [call.function for call in wait.stack.calls])
        if by:
            found.append(
                SwitchedOff(
                    task=wait.task,
                    kind=thing.kind,
                    title=thing.title,
                    module=thing.module.pointer,
                    because=thing.because,
                    by=by,
                )
            )
    return SwitchedOffs(tuple(found))


def _left_by(search: Search, own: list[str]) -> tuple[LeftOff, ...]:
    """Who can have left it off, or hangs as it switches off what is off by right.

    :param own: functions on the stack of the task that hangs, innermost first
    """
    by = tuple(one for one in search.leaving() if one.back or one.function not in own)
    if any(one.back for one in by):
        return by
    again = (LeftOff(name, None, None, back=False, twice=True) for name in search.in_turn(own))
    return (*again, *by)


def _things(session: Session, wait: Wait, modules: Modules) -> Iterator[_Thing]:
    """What is off, of all that the task can wait for."""
    prog: Any = session.prog
    lock = wait.lock
    waiting = wait.call.module if wait.call is not None else None
    module = next((one for one in modules.loaded if one.name == waiting), None)
    if lock is not None and lock.kind == polling.KIND:
        if module is not None and lock.detail == polling.DISABLED:
            yield _Thing(polling.KIND, lock.title, module, lock.because)
        elif lock.detail == polling.UNFINISHED:
            yield from _unfinished(session, lock, modules)
        return
    if lock is not None and lock.kind == tasklet.KIND:
        if module is not None and lock.detail == tasklet.DISABLED:
            yield _Thing(lock.kind, lock.title, module, lock.because, None, _counted_at(lock))
        return
    if module is not None and lock is not None and lock.kind in _SLEEPS and not lock.holders:
        yield from _interrupts(prog, module)
        reader, address = StackReader(session, modules), int(lock.address or 0)
        for one in stopped_timers(session, reader, address, module):
            yield _Thing(one.kind, one.title, module, one.because)
    entering = wait.stack.inside(*_ENTERS) is not None
    if entering or waits_for_io(wait):
        at = lock.address if entering and lock is not None else None
        yield from _queues(prog, modules, None if at is None else int(at))


def _counted_at(lock: Lock) -> frozenset[int]:
    """Of a tasklet: as a variable, as a member of a slab object, and by a pointer to itself."""
    count = lock.because[0].address if lock.because else 0
    inside = int(count) - int(lock.address or 0)
    within = {inside + lock.within} if lock.within is not None else set()
    return frozenset({int(count), inside, *within})


def _unfinished(session: Session, lock: Lock, modules: Modules) -> Iterator[_Thing]:
    """What is not polled any more, since its function has not told that it is complete."""
    from drgn import FaultError, Object

    try:
        napi = Object(session.prog, "struct napi_struct *", int(lock.address or 0))
        poll = napi.poll.value_()
        memory = memory_of(napi, "poll")
    except (FaultError, LookupError, AttributeError):
        return
    owner = modules.owner(poll)
    known = SessionReader(session).function(poll)
    if owner is not None and known is not None:
        because = (*lock.because, memory)
        name = base_name(known[0])
        yield _Thing(polling.KIND, lock.title, owner, because, unfinished=name)


def _interrupts(prog: Any, module: Module) -> Iterator[_Thing]:
    """Interrupts that are off and whose handler is of the module."""
    from drgn import FaultError
    from drgn.helpers.linux.irq import for_each_irq_desc

    try:
        for count, (number, desc) in enumerate(for_each_irq_desc(prog)):
            if count >= _MOSTINTERRUPTS:
                return
            action = desc.action
            if not action or not desc.depth.value_():
                continue
            handlers = (action.handler.value_(), action.thread_fn.value_())
            if any(module.holds(Address(one)) for one in handlers):
                because = (memory_of(desc, "depth"), memory_of(action, "handler"))
                yield _Thing(INTERRUPT, f"interrupt {number}", module, because)
    except (FaultError, LookupError, AttributeError):
        return


def _queues(prog: Any, modules: Modules, entering: int | None) -> Iterator[_Thing]:
    """Queues of disks that are off, of drivers from outside the kernel's tree.

    :param entering: where the task waits to be let in, if not for what it has handed in
    """
    from drgn import FaultError, sizeof
    from drgn.helpers.linux.block import disk_name, for_each_disk

    try:
        for count, disk in enumerate(for_each_disk(prog)):
            if count >= _MOST_DISKS:
                return
            queue = disk.queue.read_()
            owner = _driver(queue, disk, modules)
            if owner is None or "O" not in owner.taints:
                continue
            begin = queue.value_()
            if entering is None:
                memory = _halted(queue)
            elif begin <= entering < begin + sizeof(queue.type_.type):
                memory = _frozen(queue)
            else:
                continue
            if memory is not None:
                title = f"queue of {printable(disk_name(disk))}"
                yield _Thing("queue", title, owner, (memory,))
    except (FaultError, LookupError, AttributeError):
        return


def _driver(queue: Any, disk: Any, modules: Modules) -> Module | None:
    from drgn import cast

    if queue.mq_ops:
        return modules.owner(cast("struct blk_mq_ops *", queue.mq_ops).queue_rq.value_())
    return modules.owner(disk.fops.value_())


def _frozen(queue: Any) -> Memory | None:
    return memory_of(queue, "mq_freeze_depth") if queue.mq_freeze_depth.value_() > 0 else None


def _halted(queue: Any) -> Memory | None:
    """What says that it hands nothing to the driver; ``None`` if it does, or has nothing."""
    if not has_requests(queue):
        return None
    try:
        # Since Linux 5.16 (commit e70feb8b3e68).
        if queue.quiesce_depth.value_() > 0:
            return memory_of(queue, "quiesce_depth")
    except AttributeError:
        pass
    for context in hardware_queues(queue):
        if context.state.value_() & _STOPPED:
            return memory_of(context, "state")
    return None


class Search:
    """The functions of a module, by what they leave of a kind of thing.

    :param kind: one of :data:`SWITCHES`
    :param counted_at: where it is counted how often it is off: an address, and distances
    """

    def __init__(
        self,
        session: Session,
        modules: Modules,
        kind: str,
        module: Module,
        counted_at: frozenset[int] = frozenset(),
    ) -> None:
        self._session = session
        self._stacks = StackReader(session, modules)
        self._kind = kind
        self._off, self._on = SWITCHES[kind]
        self._module = module
        self._counted_at = counted_at
        self._known: dict[int, Ways | None] = {}

    def leaving(self) -> tuple[LeftOff, ...]:
        """Functions that can return with it off."""
        leaks: list[LeftOff] = []
        others: list[LeftOff] = []
        try:
            for name, start, _ in machine_code(SessionReader(self._session), self._module):
                ways = self._ways(start, 0)
                if ways is None or ".cold" in name or not ways.off:
                    continue
                one = LeftOff(
                    base_name(name),
                    f"{name}+{ways.off[0].off - start:#x}",
                    f"{name}+{ways.off[0].returns - start:#x}",
                    ways.back,
                )
                (leaks if ways.back else others).append(one)
        except SymbolError:
            return ()
        return tuple(leaks or (others if self._kind not in _FOR_GOOD else ()))

    def uneven(self) -> tuple[str, ...]:
        """Functions that switch it off before they switch it on, but not on all ways."""
        try:
            return tuple(
                base_name(name)
                for name, start, _ in machine_code(SessionReader(self._session), self._module)
                if ".cold" not in name
                and (ways := self._ways(start, 0)) is not None
                and ways.uneven
            )
        except SymbolError:
            return ()

    def in_turn(self, own: list[str]) -> tuple[str, ...]:
        """Which of some functions switches off and on again, where others do one of the two each.

        :param own: on the stack of the task that hangs, innermost first
        """
        try:
            ways = {
                base_name(name): self._ways(start, 0)
                for name, start, _ in machine_code(SessionReader(self._session), self._module)
                if ".cold" not in name
            }
        except SymbolError:
            return ()
        single = {one.effect for one in ways.values() if one is not None}
        if not {Switch.ON, Switch.OFF} <= single:
            return ()
        both = (name for name in own if (one := ways.get(name)) is not None and one.back)
        return tuple(itertools.islice(both, 1))

    def partly(self) -> tuple[str, ...]:
        """Functions that switch it off on some ways, for others that switch it on again."""
        try:
            code = list(machine_code(SessionReader(self._session), self._module))
            ways = {start: self._ways(start, 0) for _, start, _ in code}
        except SymbolError:
            return ()
        cycling = [start for start, one in ways.items() if one is not None and one.back]
        called = {target for start in cycling for target in self._calls(start)}
        known = [one for target in called if (one := ways.get(target)) is not None]
        # Where what switches on does so on some ways only, too, the two may ask the same.
        if any(one.effect is Switch.ON and one.untouched for one in known):
            return ()
        return tuple(
            base_name(name)
            for name, start, _ in code
            if start in called
            and (one := ways[start]) is not None
            and one.untouched
            and one.effect is Switch.OFF
        )

    def _calls(self, start: int) -> Iterator[int]:
        function = self._stacks.function(start)
        for row in function.code.values() if function is not None else ():
            target = direct_target(row) if row.mnemonic == "call" else None
            if target is not None:
                yield target

    def _does(self, target: int, depth: int) -> Switch | None:
        name = self._stacks.names.function_at(target)
        if name in self._off:
            return Switch.OFF
        if name in self._on:
            return Switch.ON
        if not self._module.holds(Address(target)) or depth >= _DEEPEST:
            return None
        ways = self._ways(target, depth + 1)
        return ways.effect if ways is not None else None

    def _ways(self, start: int, depth: int) -> Ways | None:
        if start not in self._known:
            self._known[start] = None  # of one that calls itself
            function = self._stacks.function(start)
            if function is not None:
                self._known[start] = ways_out(
                    function, lambda one: self._does(one, depth), self._touches
                )
        return self._known[start]

    def _touches(self, row: Instruction, place: Expression) -> Switch | None:
        counted = place.base != FRAME and place.offset in self._counted_at
        return _COUNTED.get(row.mnemonic) if counted else None

"""Functions that can return with a lock held which they release on another path.

Found in machine code, for the modules that a stall or a sleep in atomic context points to: a
spinlock that nobody on any CPU holds was kept by code that has long returned. A ``seq_file`` that
takes its lock as a walk starts gives it back as the walk stops: these two are looked at together.
So are a function that returns with a lock for others to give back, and these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.forbidden_sleep import ForbiddenSleep
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.stacks import COLD, StackReader, TaskStack, stack_base
from oopsight.evidence.hangs.waiting import Waits, hung
from oopsight.evidence.modules.footprints import Footprint, left_on, stack_of
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.prints import printed_by
from oopsight.evidence.pointers import LogPointer, ModulePointer, TaskPointer
from oopsight.kernel.call_sites import addresses, call_sites
from oopsight.kernel.code_locks import Function
from oopsight.kernel.held_locks import Held, Leak
from oopsight.kernel.holes import read_with_holes
from oopsight.kernel.lock_functions import (
    ALL_ACQUIRES,
    FROZEN,
    PACKET,
    RELEASES,
    WRAPPERS,
)
from oopsight.kernel.machine_code import Expression, direct_target
from oopsight.kernel.other_unlocks import others_unlocked
from oopsight.kinds import Kind
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_BYTES = 4 << 20
_MOST_FUNCTIONS = 300
_DEEPEST = 3
"""Functions that call each other, each for the lock that the next takes."""
_MOST_TABLES = 16
_MOST_OWNERS = 4
_LEFT = (
    *("mutex", "rwsem", "rtmutex", "semaphore", "page", "bit", "srcu", "percpu_rwsem", "socket"),
    *("grace period", FROZEN),
)
"""Kinds of locks that a function can return with."""
_SPINLOCK = "spinlock"
_SEMAPHORE = "semaphore"
_INLINE = ("bit", "page")
"""Taken by a call only where somebody else has it."""
_REMEMBERED = ("owner", "last reader", "last holder", "reader")
_KINDS = (
    Kind.HUNG_TASK,
    Kind.SOFT_LOCKUP,
    Kind.HARD_LOCKUP,
    Kind.RCU_STALL,
    Kind.SLEEPING_IN_ATOMIC,
    Kind.LOCK_MISUSE,
)


@dataclass(frozen=True)
class LockLeak:
    """A path through a function that returns with a lock held."""

    module: ModulePointer
    function: str
    kind: str
    lock: Address | None
    """Where the code names a fixed address; else it depends on the argument."""
    taken_at: str
    returns_at: str
    taken_by: str | None = None
    """The function that took it, where it is another."""
    offset: int | None = None
    """Its distance from the pointer through which the code came to it."""
    mode: str | None = None
    """``read`` or ``write``, of a rw_semaphore."""
    given_by: str | None = None
    """A function of the module that gives such a lock back without having taken it: the one that
    returns with the lock may hand it on."""
    again_at: str | None = None
    """A call on the way that gives back another such lock, which is not held, or no longer."""
    acts: bool = False
    """Whether it is known to store to memory before it returns."""
    ran: Footprint | None = None
    """A call by or of it on the stack of a task that the lock names as its owner."""
    said: LogPointer | None = None
    """What it has printed in the log."""


@dataclass(frozen=True)
class LockTaker:
    """A function that takes a lock, and where."""

    module: ModulePointer
    function: str
    kind: str
    lock: Address | None
    """Where the code names a fixed address."""
    offset: int | None
    """Its distance from the pointer through which the code comes to it, if it tells."""


@dataclass(frozen=True)
class LockLeaks:
    """What was found in the modules that were searched."""

    leaks: tuple[LockLeak, ...]
    searched: tuple[str, ...]
    """Modules."""
    functions: int
    """Functions of theirs that take a lock, all of whose paths were followed."""
    unread: int = 0
    """Ranges of their memory that are not whole in the dump."""
    omissions: tuple[LockLeak, ...] = ()
    """By functions that give a lock back which they have not taken, and on some ways do not: such
    a way may be meant."""
    takers: tuple[LockTaker, ...] = ()
    """Of spinlocks, if one is waited for that no CPU holds by its code, and all could be read."""
    both: tuple[LockTaker, ...] = ()
    """Of semaphores, functions that give back themselves what they take, as one does a lock."""

    def aimed(
        self, kind: str, places: frozenset[int], modes: tuple[str | None, ...]
    ) -> tuple[LockLeak, ...]:
        """Leaks of a lock that lies at one of these distances from what the code was handed.

        :param modes: what it can have been taken for
        """
        return tuple(
            leak
            for leak in self.leaks
            if leak.kind == kind and leak.offset in places and leak.mode in modes
        )

    def of(self, kind: str, lock: int | None) -> tuple[LockLeak, ...]:
        """Leaks of that kind of lock, at that address or at none that is fixed."""
        return _of(self.leaks, kind, lock)

    def omitted(self, kind: str, lock: int | None) -> tuple[LockLeak, ...]:
        """The same of the omissions."""
        return _of(self.omissions, kind, lock)


def _of(leaks: tuple[LockLeak, ...], kind: str, lock: int | None) -> tuple[LockLeak, ...]:
    return tuple(
        leak
        for leak in leaks
        if leak.kind == kind and (leak.lock is None or lock is None or leak.lock == lock)
    )


def collect(
    session: Session,
    modules: Modules,
    symptom: Symptom,
    cpus: Cpus | Missing,
    waits: Waits | Missing,
    log: Log,
    sleep: ForbiddenSleep | Missing,
) -> LockLeaks | Missing:
    """Search the modules on the stacks of all that wait, spin or run.

    A sleep in atomic context may come from any, and so may a lock of the kernel's own which its
    owner left, or a read section of RCU: then those from outside the kernel's tree.
    """
    asked = isinstance(waits, Waits) and hung(symptom, waits)
    slept = symptom.kind is Kind.SLEEPING_IN_ATOMIC or isinstance(sleep, ForbiddenSleep)
    if symptom.kind not in _KINDS and not asked and not slept:
        return Missing(Why.NOT_APPLICABLE, f"{symptom.kind} does not come from a lock")
    stacks = [w.stack for w in waits.victims] if isinstance(waits, Waits) else []
    stacks += [cpu.stack for cpu in cpus.cpus] if isinstance(cpus, Cpus) else []
    wanted = _implicated(modules, stacks)
    unexplained = isinstance(waits, Waits) and _unexplained(waits)
    if slept or symptom.kind is Kind.RCU_STALL or unexplained:
        wanted += [m for m in modules.loaded if "O" in m.taints and m not in wanted]
    search = _Search(session, modules)
    for module in wanted:
        search.module(module, switches=slept)
    omissions = search.omissions
    if len({leak.function for leak in omissions}) > 1:
        owners = _owners(waits) if isinstance(waits, Waits) else []
        omissions = [one for m in wanted for one in _traced(session, m, omissions, owners, log)]
    return LockLeaks(
        tuple(search.leaks),
        tuple(m.name for m in wanted),
        search.followed,
        search.unread,
        tuple(omissions),
        tuple(search.takers) if _nobodys(cpus, waits) else (),
        tuple(search.both),
    )


def _nobodys(cpus: Cpus | Missing, waits: Waits | Missing) -> bool:
    """Whether a CPU spins on a lock that is nobody's, as far as all CPUs' code tells."""
    if isinstance(cpus, Missing) or isinstance(waits, Missing) or cpus.unread:
        return False
    locks = [w.lock for w in waits.victims if w.lock is not None and w.lock.kind == _SPINLOCK]
    return any(not lock.holders for lock in locks) and not any(map(_may_hold_one, cpus.cpus))


def _may_hold_one(cpu: Cpu) -> bool:
    """Whether a CPU's stack is not whole, or it holds a spinlock of which it is not known which."""
    if cpu.idle or cpu.in_user:
        return False
    held = [held for call in cpu.stack.calls for held in call.holds]
    unknown = any(one.kind == _SPINLOCK and one.address is None for one in held)
    return unknown or cpu.stack.missing is not None or not cpu.stack.calls


def _owners(waits: Waits) -> list[TaskPointer]:
    """The tasks that locks name as their owners."""
    held = [holder for w in waits.victims if w.lock is not None for holder in w.lock.holders]
    named = [one.task for one in held if one.alive and one.known_by in _REMEMBERED]
    return list(dict.fromkeys(named))[:_MOST_OWNERS]


def _traced(
    session: Session, module: Module, omissions: list[LockLeak], owners: list[TaskPointer], log: Log
) -> list[LockLeak]:
    """Those of a module, with what the stacks of the owners and the log tell of them."""
    mine = [one for one in omissions if one.module.name == module.name]
    if not mine:
        return []
    left: dict[str, Footprint] = {}
    reader = SessionReader(session)
    for owner in owners:
        base = stack_base(session, owner)
        for one in left_on(reader, stack_of(owner), base, module) if base is not None else ():
            left.setdefault(one.function, one)
            left.setdefault(one.called, one)
    said = {one.function: one.line for one in printed_by(session, log, module)}
    return [replace(one, ran=left.get(one.function), said=said.get(one.function)) for one in mine]


def _unexplained(waits: Waits) -> bool:
    """Whether nobody holds a lock by its code, whatever the lock remembers."""
    for wait in waits.victims:
        lock = wait.lock
        if lock is None or lock.kind not in _LEFT:
            continue
        if not lock.holders:
            return True
        for holder in lock.holders:
            owner = waits.of(holder.task.address) if holder.alive else None
            if holder.known_by not in _REMEMBERED:
                continue
            if owner is None or owner.holding(lock) is None:
                return True
    return False


def _implicated(modules: Modules, stacks: list[TaskStack]) -> list[Module]:
    names = {call.module for stack in stacks for call in stack.calls}
    return [m for m in modules.loaded if m.name in names]


def _others(one: Expression | None, other: Expression | None) -> bool:
    """Whether two locks are at different fixed addresses."""
    return (
        one is not None and other is not None and not one.base and not other.base and one != other
    )


def _mode(held: Held) -> str | None:
    if held.kind != "rwsem":
        return None
    return "read" if "read" in held.by else "write"


class _Search:
    def __init__(self, session: Session, modules: Modules) -> None:
        self._prog: Any = session.prog
        self._reader = StackReader(session, modules)
        self._memory = SessionReader(session)
        self._left = _MOST_BYTES
        self._targets = addresses(session.prog, ALL_ACQUIRES)
        self._wrappers = addresses(session.prog, WRAPPERS)
        releases = [name for name, kind in RELEASES.items() if kind != PACKET]
        self._releases = addresses(session.prog, [*releases, *WRAPPERS])
        self._givers: dict[str, dict[int, str]] = {}
        self.leaks: list[LockLeak] = []
        self.omissions: list[LockLeak] = []
        self.takers: list[LockTaker] = []
        self.both: list[LockTaker] = []
        self.followed = 0
        self.unread = 0

    def module(self, module: Module, *, switches: bool = False) -> None:
        """Follow each function of a module that calls a lock function.

        :param switches: all others, too: preemption is switched off without a call
        """
        every = machine_code(self._memory, module) if switches else ()
        starts = {at: name for name, at, _ in every if COLD not in name}
        for start, end in module.ranges:
            size = min(end - start, self._left)
            self._left -= size
            self.unread += not self._whole(start, size)
            starts |= self._calling(module, start, size, {*self._targets, *self._wrappers})
        self._add_callers(module, starts)
        taken: list[tuple[tuple[str, int], Held]] = []
        for begin, name in list(starts.items())[:_MOST_FUNCTIONS]:
            function = self._reader.function(begin)
            if function is None:
                continue
            self.followed += function.followed
            self.takers += [one for _, one in self._takers(module, name, function, _SPINLOCK)]
            down = self._takers(module, name, function, _SEMAPHORE)
            kept = {held.site for held in function.taken}
            self.both += [one for site, one in down if function.followed and site not in kept]
            taken += [((name, begin), held) for held in sorted(function.taken, key=str)]
            others = others_unlocked(function, self._reader.names.function_at)
            for leak in (*function.leaks, *others):
                giver = self._giver(module, leak.held)
                self.leaks.append(self._leak(module, (name, begin), (name, begin), leak, giver))
            if function.kept:
                self._stops(module, (name, begin), function.kept)
        self._omit(module, taken)

    def _calling(
        self, module: Module, start: int, size: int, targets: Iterable[int]
    ) -> dict[int, str]:
        """The functions that call some, by their addresses."""
        found: dict[int, str] = {}
        for site in call_sites(self._prog, start, size, targets, jumps=True):
            name, begin, _ = self._reader.names.code(site)
            if begin is not None and module.holds(begin) and COLD not in name:
                found.setdefault(begin, name)
        return found

    def _add_callers(self, module: Module, starts: dict[int, str]) -> None:
        """Add those that call one which returns with a lock, and those that call these."""
        asked = dict(starts)
        for _ in range(_DEEPEST):
            functions = [self._reader.function(at) for at in list(asked)[:_MOST_FUNCTIONS]]
            passing = [one.start for one in functions if one is not None and one.taken]
            asked = {}
            for start, end in module.ranges if passing else ():
                asked |= self._calling(module, start, min(end - start, _MOST_BYTES), passing)
            asked = {at: name for at, name in asked.items() if at not in starts}
            starts |= asked

    def _takers(
        self, module: Module, name: str, function: Function, kind: str
    ) -> Iterator[tuple[int, LockTaker]]:
        """The locks of a kind that a function takes, with where it does."""
        for at, row in function.code.items():
            target = direct_target(row) if row.mnemonic == "call" else None
            if target is None or ALL_ACQUIRES.get(self._targets.get(target, "")) != kind:
                continue
            lock = function.registers(at).get("rdi")
            held = Held(kind, lock, at, self._targets[target])
            fixed = Address(lock.offset) if lock is not None and not lock.base else None
            yield at, LockTaker(module.pointer, base_name(name), kind, fixed, held.offset)

    def _omit(self, module: Module, taken: list[tuple[tuple[str, int], Held]]) -> None:
        """Look for ways of those that give back such locks which do not.

        :param taken: locks that functions can return with, and which
        """
        asked = [one for one in taken if one[1].kind.partition(" ")[0] not in _INLINE]
        for begin, name in self._giving(module).items() if asked else ():
            function = self._reader.function(begin)
            for kind, lock in sorted(function.given, key=str) if function is not None else ():
                taker = next(
                    (
                        (who, held)
                        for who, held in asked
                        if held.kind == kind and who[1] != begin and not _others(lock, held.lock)
                    ),
                    None,
                )
                if taker is None or function is None:
                    continue
                who, held = taker
                for leak in function.omits(held._replace(lock=lock)):
                    omission = self._leak(module, who, (name, begin), leak)
                    # What stands beside the one that takes it has to give it back.
                    if replace(omission, acts=False) not in self.leaks:
                        self.omissions.append(omission)

    def _giver(self, module: Module, held: Held) -> str | None:
        """A function that gives back a lock which it has not taken and which may be this one."""
        if held.kind.partition(" ")[0] in _INLINE:
            return None
        for begin, name in self._giving(module).items():
            function = self._reader.function(begin)
            for kind, lock in function.given if function is not None else ():
                if kind == held.kind and not _others(lock, held.lock):
                    return base_name(name)
        return None

    def _giving(self, module: Module) -> dict[int, str]:
        """The functions of a module that give locks back, by their addresses."""
        if module.name not in self._givers:
            found: dict[int, str] = {}
            for start, end in module.ranges:
                # The cold part of a function goes on with what that has taken, and is no other.
                size = min(end - start, _MOST_BYTES)
                found = self._calling(module, start, size, self._releases) | found
            self._givers[module.name] = dict(list(found.items())[:_MOST_FUNCTIONS])
        return self._givers[module.name]

    def _stops(self, module: Module, start: tuple[str, int], kept: tuple[Held, ...]) -> None:
        """Look for what a function keeps in the one that stands beside it, as ``stop``."""
        for other in self._beside(module, start[1]):
            name, begin, _ = self._reader.names.code(other)
            function = self._reader.function(other)
            if begin != other or function is None:
                continue
            for held in kept:
                for leak in function.entered_with(held):
                    self.leaks.append(self._leak(module, start, (name, begin), leak))

    def _beside(self, module: Module, start: int) -> set[int]:
        """What follows a function's address in a table: ``struct seq_operations.stop``."""
        wanted = start.to_bytes(8, "little")
        found: set[int] = set()
        for begin, end in module.ranges:
            data = read_with_holes(self._prog, begin, min(end - begin, _MOST_BYTES))
            at = data.find(wanted)
            while at >= 0 and len(found) < _MOST_TABLES:
                following = int.from_bytes(data[at + 8 : at + 16], "little")
                if not at % 8 and module.holds(following):
                    found.add(following)
                at = data.find(wanted, at + 1)
        return found

    @staticmethod
    def _leak(
        module: Module,
        taker: tuple[str, int],
        returns: tuple[str, int],
        leak: Leak,
        giver: str | None = None,
    ) -> LockLeak:
        lock = leak.held.lock
        return LockLeak(
            module=module.pointer,
            function=base_name(returns[0]),
            kind=leak.held.kind,
            lock=Address(lock.offset) if lock is not None and not lock.base else None,
            taken_at=f"{taker[0]}+{leak.held.site - taker[1]:#x}",
            returns_at=f"{returns[0]}+{leak.returns - returns[1]:#x}",
            taken_by=base_name(taker[0]) if taker != returns else None,
            offset=leak.held.offset,
            mode=_mode(leak.held),
            given_by=giver,
            again_at=f"{returns[0]}+{leak.again - returns[1]:#x}" if leak.again else None,
            acts=leak.acts,
        )

    def _whole(self, start: int, size: int) -> bool:
        from drgn import FaultError

        try:
            self._prog.read(start, size)
        except FaultError:
            return False
        return True

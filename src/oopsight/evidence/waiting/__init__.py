"""Who waits for what, and who holds it: a graph of all tasks that are blocked or spin.

One file for each kind of waiting, found by its place: ``FUNCTIONS``, in one of which a task waits
so, and ``find``, which says for what.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why, missing_from
from oopsight.evidence.cpus import Cpus
from oopsight.evidence.modules import Modules
from oopsight.evidence.pointers import Memory, TaskPointer
from oopsight.evidence.stacks import Call, StackReader, TaskStack, task_pointer
from oopsight.evidence.symptom import Symptom
from oopsight.evidence.waiting.scan import Scan, stack_size
from oopsight.kinds import Kind
from oopsight.session import Session

MOST_TASKS = 1_000_000
MOST_STACKS = 400
"""Blocked tasks whose stacks are read, those that have waited longest first."""
_MOST_HOLDERS = 64
_UNINTERRUPTIBLE = 0x2
_NOLOAD = 0x400
_LOCKING = (
    "__mutex_lock*",
    "mutex_lock*",
    "rwsem_down_*",
    "__down*",
    "___down*",
    "rt_mutex_*",
    "__rt_mutex_*",
    "__flush_work*",
)
_STALLS = (
    Kind.HUNG_TASK,
    Kind.SOFT_LOCKUP,
    Kind.HARD_LOCKUP,
    Kind.RCU_STALL,
    Kind.WORKQUEUE_LOCKUP,
    Kind.DEADLOCK,
    Kind.PANIC_OTHER,
)


@dataclass(frozen=True)
class Holder:
    """A task that holds a lock."""

    task: TaskPointer
    alive: bool
    """Whether it is on the list of tasks; one that has exited is not."""
    known_by: str
    """``owner``: the lock says so; ``last reader``: the lock's hint, which may be out of date;
    ``last holder``: likewise, of a semaphore;
    ``code``: the code of a function on its stack has taken the lock and not given it back;
    ``worker``: it carries out what is waited for."""


@dataclass(frozen=True)
class Lock:
    """What is waited for."""

    kind: str
    """``mutex``, ``rwsem``, ``semaphore``, ``rtmutex``, ``spinlock``, ``completion``, ``work``,
    ``event``, ``page``, ``bit``, ``grace period``, ``thread``, ``time`` or ``io``."""
    address: Address | None
    name: str | None
    """A variable, or the slab cache whose object it lies in."""
    mode: str | None = None
    """``read`` or ``write``, where there is a difference."""
    holders: tuple[Holder, ...] = ()
    because: tuple[Memory, ...] = ()
    detail: str | None = None

    @property
    def title(self) -> str:
        """Kind and name, as a sentence needs it."""
        where = self.name or (str(self.address) if self.address is not None else None)
        return f"{self.kind} {where}" if where else self.kind


@dataclass(frozen=True)
class Wait:
    """A task that does not get on."""

    stack: TaskStack
    lock: Lock | None
    """``None`` where it is not known what it waits for, or it does not wait."""
    seconds: float | None
    """Since it last ran."""
    victim: bool = True
    """Blocked or spinning; ``False`` for one that is here only because it holds something."""

    @property
    def task(self) -> TaskPointer:
        """The task."""
        return self.stack.task

    @property
    def lock_unread(self) -> bool:
        """Whether it waits for a lock that could not be read."""
        return self.lock is None and self.stack.inside(*_LOCKING) is not None

    @property
    def call(self) -> Call | None:
        """Who waits: the innermost function that can be to blame."""
        return self.stack.culprit

    def holding(self, lock: Lock) -> Call | None:
        """The function on its stack that took a lock, by its code."""
        if lock.address is None:
            return None
        return next(
            (c for c in self.stack.calls if any(h.address == lock.address for h in c.holds)), None
        )


@dataclass(frozen=True)
class Waits:
    """All that wait or spin, and those that they wait for."""

    waits: tuple[Wait, ...]
    tasks: int
    blocked: int
    """Tasks in uninterruptible sleep, also those whose stacks were not read."""
    whole: bool = True
    """Whether the list of tasks could be walked to its end; else one may seem to have exited."""

    def of(self, task: int) -> Wait | None:
        """What is known of a task, by its address."""
        return self._by_task.get(task)

    @functools.cached_property
    def _by_task(self) -> dict[int, Wait]:
        return {wait.task.address: wait for wait in self.waits}

    @property
    def victims(self) -> tuple[Wait, ...]:
        """Those that are blocked or spin, the longest first."""
        return tuple(w for w in self.waits if w.victim)

    def chain(self, wait: Wait) -> tuple[list[Wait], bool]:
        """From a task to whom it waits for, and so on.

        :return: the tasks, and whether the last one waits for one of them
        """
        chain = [wait]
        seen = {wait.task.address}
        while chain[-1].lock is not None:
            holders = [h for h in chain[-1].lock.holders if h.alive]
            if not holders:
                break
            again = next((h for h in holders if h.task.address in seen), None)
            if again is not None:
                return chain, True
            following = next((f for h in holders if (f := self.of(h.task.address))), None)
            if following is None:
                break
            seen.add(following.task.address)
            chain.append(following)
        return chain, False

    def cycles(self) -> list[tuple[Wait, ...]]:
        """Circles of tasks each of which holds what the one before waits for; each once."""
        found: dict[frozenset[int], tuple[Wait, ...]] = {}
        for wait in self.victims:
            chain, closed = self.chain(wait)
            last = chain[-1].lock
            if not closed or last is None:
                continue
            held_by = {h.task.address for h in last.holders}
            start = next(i for i, w in enumerate(chain) if w.task.address in held_by)
            circle = tuple(chain[start:])
            found.setdefault(frozenset(w.task.address for w in circle), circle)
        return list(found.values())

    def piles(self) -> list[tuple[Lock, tuple[Wait, ...]]]:
        """What several or one wait for in the end, with all that wait for it, the largest first.

        A lock at the root of a chain: its holder is not itself waiting for a lock that is held.
        """
        found: dict[tuple[str, int], tuple[Lock, list[Wait]]] = {}
        for wait in self.victims:
            chain, closed = self.chain(wait)
            if closed:
                continue
            root = next((w.lock for w in reversed(chain) if w.lock and w.lock.holders), None)
            if root is None:
                continue
            key = (root.kind, int(root.address or 0))
            found.setdefault(key, (root, []))[1].append(wait)
        piles = [(lock, tuple(waits)) for lock, waits in found.values()]
        return sorted(piles, key=lambda pile: -len(pile[1]))


def kinds() -> Iterator[ModuleType]:
    """The kinds of waiting."""
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        if hasattr(module, "FUNCTIONS"):
            yield module


def collect(
    session: Session, cpus: Cpus | Missing, modules: Modules | Missing, symptom: Symptom
) -> Waits | Missing:
    """Look at each task's state; read the stacks of those that are blocked and what they wait for.

    Only for crashes that can come from waiting: it walks all tasks.
    """
    if symptom.kind not in _STALLS:
        return Missing(Why.NOT_APPLICABLE, f"{symptom.kind} does not come from waiting")
    return waits_of(session, cpus, modules)


def waits_of(session: Session, cpus: Cpus | Missing, modules: Modules | Missing) -> Waits:
    """Who waits for what, whatever the crash was."""
    return _Collector(session, cpus, modules).collect()


class _Collector:
    def __init__(self, session: Session, cpus: Cpus | Missing, modules: Modules | Missing) -> None:
        self.prog: Any = session.prog
        self.reader = StackReader(session, modules)
        self.cpus = cpus.cpus if isinstance(cpus, Cpus) else ()
        self.kinds = list(kinds())
        self.heads: dict[int, int] = {}
        self.alive: set[int] = set()
        self.waits: dict[int, Wait] = {}
        self.whole = True

    def collect(self) -> Waits:
        blocked = self._blocked()
        running = {int(cpu.task.address) for cpu in self.cpus}
        for cpu in self.cpus:
            if cpu.spins_on is not None:
                lock = Lock("spinlock", cpu.spins_on.address, cpu.spins_on.name)
                self.waits[cpu.task.address] = Wait(cpu.stack, self._with_spinner(lock), None)
        for seconds, task in blocked[:MOST_STACKS]:
            if task.value_() not in running:
                self._add(task, seconds, victim=True)
        self._add_holders()
        ordered = sorted(self.waits.values(), key=lambda w: (-(w.seconds or 0), w.task.pid))
        return Waits(tuple(ordered), len(self.alive), len(blocked), self.whole)

    def _blocked(self) -> list[tuple[float, Any]]:
        """Tasks in uninterruptible sleep with the seconds since they ran, longest first."""
        from drgn import FaultError
        from drgn.helpers.linux.pid import for_each_task

        found: list[tuple[float, Any]] = []
        try:
            for task in for_each_task(self.prog):
                self.alive.add(task.value_())
                if len(self.alive) >= MOST_TASKS:
                    break
                state = task_state(task)
                if state & _UNINTERRUPTIBLE and not state & _NOLOAD:
                    found.append((self._seconds(task) or 0.0, task))
        except FaultError:
            self.whole = False  # what was found before stands
        return sorted(found, key=lambda item: -item[0])

    def _seconds(self, task: Any) -> float | None:
        from drgn import FaultError
        from drgn.helpers.linux.sched import task_since_last_arrival_ns

        try:
            return round(task_since_last_arrival_ns(task) / 1e9, 3)
        except (FaultError, LookupError, AttributeError):
            return None

    def _add(self, task: Any, seconds: float | None, *, victim: bool) -> Wait | None:
        from drgn import FaultError

        try:
            stack = self.reader.read(task)
            lock = self._lock(task, stack)
        except FaultError:
            return None
        wait = Wait(stack, lock, seconds, victim)
        self.waits[stack.task.address] = wait
        return wait

    def _lock(self, task: Any, stack: TaskStack) -> Lock | None:
        if not stack.calls:
            return None
        top = task.stack.value_() + stack_size(self.prog)
        innermost = stack.calls[0].sp
        if not top - stack_size(self.prog) <= innermost < top:
            return None
        scan = Scan(self.prog, self.reader, stack, (innermost, top), self.heads)
        # The innermost function decides, but schedule(), which all go through, only if no other.
        matches = [
            (getattr(kind, "FALLBACK", False), call.index, kind)
            for kind in self.kinds
            if (call := stack.inside(*kind.FUNCTIONS)) is not None
        ]
        certain = False
        for fallback, _, kind in sorted(matches, key=lambda match: match[:2]):
            if fallback and certain:
                break  # it waits for a lock that cannot be read, not just for time to pass
            certain = True
            found: Lock | None = kind.find(scan)
            if found is not None:
                return self._with_liveness(found)
        return None

    def _with_liveness(self, lock: Lock) -> Lock:
        holders = tuple(
            Holder(h.task, h.task.address in self.alive, h.known_by) for h in lock.holders
        )
        return Lock(**{**vars(lock), "holders": holders})

    def _with_spinner(self, lock: Lock) -> Lock:
        """A spinlock names no owner: a CPU's code does which has taken it and not given it back."""
        holders = tuple(
            Holder(cpu.task, alive=True, known_by="code")
            for cpu in self.cpus
            if any(h.address == lock.address for call in cpu.stack.calls for h in call.holds)
        )
        return Lock(**{**vars(lock), "holders": holders})

    def _add_holders(self) -> None:
        """Read the stacks of those who hold something as well, and of those who hold that."""
        from drgn import Object

        for _ in range(_MOST_HOLDERS):
            wanted = next(
                (
                    h.task.address
                    for w in self.waits.values()
                    if w.lock
                    for h in w.lock.holders
                    if h.alive and h.task.address not in self.waits
                ),
                None,
            )
            if wanted is None:
                return
            running = next((cpu for cpu in self.cpus if cpu.task.address == wanted), None)
            if running is not None:
                self.waits[wanted] = Wait(running.stack, None, None, victim=False)
                continue
            task = Object(self.prog, "struct task_struct *", wanted)
            if self._add(task, self._seconds(task), victim=False) is None:
                pointer = TaskPointer(0, "?", Address(wanted))
                self.waits[wanted] = Wait(
                    TaskStack(pointer, -1, "?", (), None), None, None, victim=False
                )


def task_state(task: Any) -> int:
    """The state bits of a task.

    :param task: ``struct task_struct *``
    """
    try:
        # Since Linux 5.14 (commit 2f064a59a11f).
        return int(task.member_("__state"))
    except LookupError:
        return int(task.state)


def holder(scan: Scan, task: int, known_by: str) -> tuple[Holder, ...]:
    """A holder from a task's address; none where there is no task.

    Whether it is alive the collector knows.
    """
    from drgn import FaultError, Object

    if not task:
        return ()
    try:
        pointer = task_pointer(Object(scan.prog, "struct task_struct *", task))
    except FaultError as error:
        reason = missing_from(error)
        pointer = TaskPointer(0, f"? ({reason.detail})", Address(task))
    return (Holder(pointer, alive=False, known_by=known_by),)

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

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why, missing_from
from oopsight.evidence.crash.standstill import LONG
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.cpus import Cpus
from oopsight.evidence.hangs.stacks import Call, HeldLock, TaskStack, task_pointer
from oopsight.evidence.hangs.waiting.scan import Scan
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Memory, TaskPointer
from oopsight.kinds import Kind
from oopsight.session import Session

MOST_STACKS = 400
"""Blocked tasks whose stacks are read, those that have waited longest first."""
_KERNEL, _ALIGNMENT = 1 << 63, 8
_LOCKING = (
    "__mutex_lock*",
    "mutex_lock*",
    "rwsem_down_*",
    "__down*",
    "___down*",
    "rt_mutex_*",
    "__rt_mutex_*",
    "rtlock_*",
    "rwbase_*",
    "__flush_work*",
)
# These hold the address space locked for what they call, and are not followed.
_HOLDING = ("handle_mm_fault", "__get_user_pages*", "fixup_user_fault")
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
    ``code``: the code of a function on its stack has taken the lock and not given it back, or
    gives it back further on;
    ``signals``: a function on its stack goes on to signal what is waited for;
    ``timer``: its CPU carries out the function of the timer that is deleted;
    ``reader``: RCU lists it among the readers that sleep; ``cpu``: RCU waits for its CPU;
    ``user``: it is in a call of the functions of the file that is taken away;
    ``queue``: a work item that is to signal it waits for its turn, until this task's has ended;
    ``pool``: likewise, and its CPU's pool of workers begins nothing as long as this task runs;
    ``worker``: it carries out what is waited for."""


@dataclass(frozen=True)
class Lock:
    """What is waited for."""

    kind: str
    """``mutex``, ``rwsem``, ``semaphore``, ``rtmutex``, ``spinlock``, ``completion``, ``work``,
    ``event``, ``fence``, ``page``, ``bit``, ``grace period``, ``srcu``, ``percpu_rwsem``,
    ``socket``, ``frozen file system``, ``answer`` of a server, ``users`` of a file, ``thread``,
    ``timer``, ``time`` or ``io``."""
    address: Address | None
    name: str | None
    """A variable, or the slab cache whose object it lies in."""
    mode: str | None = None
    """``read`` or ``write``, where there is a difference."""
    holders: tuple[Holder, ...] = ()
    because: tuple[Memory, ...] = ()
    detail: str | None = None
    bit: int | None = None
    """Of the word at the address, where it is but a bit."""
    within: int | None = None
    """Its distance from the beginning of the slab object that it lies in."""

    @property
    def key(self) -> tuple[str, int]:
        """Kind, a bit's with its number, and address: what makes two one lock."""
        kind = self.kind if self.bit is None else f"{self.kind} {self.bit}"
        return kind, int(self.address or 0)

    def is_held_as(self, held: HeldLock) -> bool:
        """Whether a function's code that holds something holds this."""
        if self.kind == "grace period":
            return held.kind == "rcu"
        kind = self.key[0]
        # With PREEMPT_RT all sleeping locks are rt_mutexes within.
        same = kind in (held.kind, "rtmutex")
        return same and self.address is not None and held.address == self.address

    @property
    def title(self) -> str:
        """Kind and name, as a sentence needs it."""
        where = self.name or (str(self.address) if self.address is not None else None)
        return f"{self.kind} {where}" if where else self.kind


@dataclass(frozen=True)
class WorkItem:
    """What a worker carries out; by a call at its end the function may have left the stack."""

    function: str
    module: str | None
    because: tuple[Memory, ...]

    @property
    def name(self) -> str:
        """Function, and module in brackets."""
        return f"{self.function} [{self.module}]" if self.module else self.function


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
    work: WorkItem | None = None
    """What it carries out, if it is a worker."""

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

    @property
    def place(self) -> str | None:
        """Where it waits, in words: the function to suspect, else the work item."""
        if self.call is not None:
            return self.call.name
        return f"work item {self.work.name}" if self.work is not None else None

    @property
    def places(self) -> frozenset[int]:
        """Where in an object the lock lies, as its own code came to it, and as the slab has it."""
        lock = self.lock
        if lock is None:
            return frozenset()
        wanted = (call.wants for call in self.stack.calls if call.wants is not None)
        found = {
            w.offset for w in wanted if w.kind == lock.kind and w.address in (None, lock.address)
        }
        return frozenset(offset for offset in (lock.within, *found) if offset)

    def may_hold(self, lock: Lock, module: str | None = None) -> bool:
        """Whether some function on its stack holds the lock, or one of which that is not known.

        :param module: the module in whose own data the lock is: others do not take it
        """
        if self.stack.inside(*_HOLDING) is not None:
            return True
        calls = [call for call in self.stack.calls if module in (None, call.module)]
        held = [h for call in calls for h in call.holds if h.kind == lock.kind]
        return any(h.address in (None, lock.address) for h in held)

    def holding(self, lock: Lock) -> Call | None:
        """The function on its stack that took a lock, by its code."""
        return next((c for c in self.stack.calls if any(lock.is_held_as(h) for h in c.holds)), None)


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
            known = [f for h in holders if (f := self.of(h.task.address))]
            if not known:
                break
            # Of several readers, one that is blocked itself leads on.
            following = next((f for f in known if f.victim), known[0])
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
            if all(w.lock is not None and w.lock.kind == "event" for w in circle):
                continue  # each would wake the other: but others may as well
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
            found.setdefault(root.key, (root, []))[1].append(wait)
        piles = [(lock, tuple(waits)) for lock, waits in found.values()]
        return sorted(piles, key=lambda pile: -len(pile[1]))


def hung(symptom: Symptom, waits: Waits) -> bool:
    """Whether it went down because of tasks that hang: by the kernel, or by a sysrq for them."""
    if symptom.kind is Kind.HUNG_TASK:
        return True
    asked = symptom.kind is Kind.PANIC_OTHER and "sysrq triggered" in symptom.title
    return asked and any((wait.seconds or 0) >= LONG for wait in waits.victims)


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
    from oopsight.evidence.hangs.waiting.collector import Collector

    return Collector(session, cpus, modules).collect()


def holder(scan: Scan, task: int, known_by: str) -> tuple[Holder, ...]:
    """A holder from a task's address; none where there is no task, or that is no address of one.

    Whether it is alive the collector knows.
    """
    from drgn import FaultError, Object

    if task < _KERNEL or task % _ALIGNMENT:
        return ()
    try:
        pointer = task_pointer(Object(scan.prog, "struct task_struct *", task))
    except FaultError as error:
        reason = missing_from(error)
        pointer = TaskPointer(0, f"? ({reason.detail})", Address(task))
    return (Holder(pointer, alive=False, known_by=known_by),)

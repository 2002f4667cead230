"""The graph of waits, read from a dump: who is blocked, for what, and who has that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from oopsight.cheap import replace
from oopsight.evidence import Address, Missing
from oopsight.evidence.hangs.cpus import Cpus
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.hangs.waiting import (
    MOST_STACKS,
    Holder,
    Lock,
    Wait,
    Waits,
    WorkItem,
    completion,
    kinds,
    queued,
    timer,
)
from oopsight.evidence.hangs.waiting.givers import (
    NOT_BY_ONESELF,
    SIGNALS,
    UNOWNED,
    gives,
    holds,
    sleepers,
)
from oopsight.evidence.hangs.waiting.scan import Scan, stack_size
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import TaskPointer
from oopsight.kernel.blocked_tasks import blocked_tasks, seconds_since_run
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_HOLDERS = 64
PF_WQ_WORKER = 0x20


class Collector:
    """Reads the graph from a dump, once."""

    def __init__(self, session: Session, cpus: Cpus | Missing, modules: Modules | Missing) -> None:
        self.prog: Any = session.prog
        self.reader = StackReader(session, modules)
        self.cpus = cpus.cpus if isinstance(cpus, Cpus) else ()
        self.modules = modules
        self.kinds = list(kinds())
        self.heads: dict[int, int] = {}
        self.alive: set[int] = set()
        self.waits: dict[int, Wait] = {}
        self.whole = True

    def collect(self) -> Waits:
        """Those that wait or spin, and those behind whom they do."""
        blocked, self.alive, self.whole = blocked_tasks(self.prog)
        running = {int(cpu.task.address) for cpu in self.cpus}
        for cpu in self.cpus:
            if cpu.spins_on is not None:
                spins = cpu.spins_on
                odd = None if spins.sound else f"with {spins.value:#x} in it, as no spinlock has"
                lock = Lock("spinlock", spins.address, spins.name, odd)
                self.waits[cpu.task.address] = Wait(cpu.stack, self._with_spinner(lock), None)
            else:
                deleted = timer.of_cpu(self.prog, self.reader, cpu, self.cpus, self._owner)
                if deleted is not None:
                    self.waits[cpu.task.address] = Wait(cpu.stack, deleted, None)
        for seconds, task in blocked[:MOST_STACKS]:
            if task.value_() not in running:
                self._add(task, seconds, victim=True)
        self._add_holders()
        if self._add_givers():
            self._add_holders()
        self._strike_readers()
        ordered = sorted(self.waits.values(), key=lambda w: (-(w.seconds or 0), w.task.pid))
        return Waits(tuple(ordered), len(self.alive), len(blocked), self.whole)

    def _add(self, task: Any, seconds: float | None, *, victim: bool) -> Wait | None:
        from drgn import FaultError

        try:
            stack = self.reader.read(task)
            lock = self._lock(task, stack)
        except FaultError:
            return None
        wait = Wait(stack, lock, seconds, victim, self._work(task))
        self.waits[stack.task.address] = wait
        return wait

    def _work(self, task: Any) -> WorkItem | None:
        """The work item that a worker thread carries out."""
        from drgn import FaultError, cast
        from drgn.helpers.linux.kthread import kthread_data

        try:
            if not task.flags.value_() & PF_WQ_WORKER:
                return None
            worker = cast("struct worker *", kthread_data(task))
            function = worker.current_func.value_() if worker else 0
            if not function:
                return None
            because = (memory_of(worker, "current_func"),)
        except (FaultError, LookupError, AttributeError):
            return None
        name = base_name(self.reader.names.code(function)[0])
        return WorkItem(name, self._owner(function), because)

    def _owner(self, address: int) -> str | None:
        """The module that an address lies in."""
        owner = self.modules.owner(address) if isinstance(self.modules, Modules) else None
        return owner.name if owner is not None else None

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
        within = None if lock.address is None else self.reader.names.within(int(lock.address))
        return replace(lock, holders=holders, within=within)

    def _with_spinner(self, lock: Lock) -> Lock:
        """A spinlock names no owner: a CPU's code does which has taken it and not given it back."""
        holders = tuple(
            Holder(cpu.task, alive=True, known_by="code")
            for cpu in self.cpus
            if any(h.address == lock.address for call in cpu.stack.calls for h in call.holds)
        )
        return replace(lock, holders=holders)

    def _add_givers(self) -> bool:
        """Find who has what names no owner, by the code of the tasks that are stuck.

        :return: whether any was found
        """
        found: dict[tuple[str, int], list[Holder]] = {}
        details: dict[tuple[str, int], str] = {}
        wanted = self._unheld()
        stacks = [wait.stack for wait in self.waits.values()]
        stacks += [c.stack for c in self.cpus if not c.idle and c.task.address not in self.waits]
        for stack in stacks if wanted else ():
            self._search(stack, (*UNOWNED, "rwsem"), wanted, found)
        wanted -= set(found)
        signals = {key for key in wanted if key[0] in SIGNALS}
        if signals:
            workers = completion.busy_workers(self.prog)
            for key, (item, holders) in queued.queued(self.reader, workers, signals).items():
                # Many may signal an event, a queue's next item among them.
                if key[0] == "event" and holders[0].known_by != "pool":
                    continue
                found[key] = holders
                details[key] = f"which work item {item} is to signal"
        # A lock is also held by who sleeps interruptibly; but such a one need not signal anything.
        locks = tuple(kind for kind in (*UNOWNED, "rwsem") if kind not in SIGNALS)
        if any(kind.partition(" ")[0] in locks for kind, _ in wanted):
            for stack in self._sleepers():
                self._search(stack, locks, wanted, found)
        for address, wait in self.waits.items():
            if wait.lock is not None and found.get(wait.lock.key):
                key = wait.lock.key
                detail = details.get(key, wait.lock.detail)
                lock = replace(wait.lock, holders=tuple(found[key]), detail=detail)
                self.waits[address] = replace(wait, lock=lock)
        self._strike_signals()
        return bool(found)

    def _sleepers(self) -> Iterator[TaskStack]:
        from drgn import FaultError, Object

        if isinstance(self.modules, Missing):
            return
        tasks = (Object(self.prog, "struct task_struct *", task) for task in self.alive)
        for task in sleepers(self.prog, self.modules, tasks):
            if task.value_() not in self.waits:
                with contextlib.suppress(FaultError):
                    yield self.reader.read(task)

    def _search(
        self,
        stack: TaskStack,
        kinds: tuple[str, ...],
        wanted: set[tuple[str, int]],
        found: dict[tuple[str, int], list[Holder]],
    ) -> None:
        """Add what is wanted and a task has or goes on to give; not what it waits for itself."""
        from drgn import Object

        if not stack.blamable:
            return
        wait = self.waits.get(stack.task.address)
        own = wait.lock.key if wait is not None and wait.lock is not None else None
        # Whoever takes the file away in whose function it is waits for itself.
        own = None if own is not None and own[0] == "users" else own
        if own is not None and own[0] in NOT_BY_ONESELF and own in holds(stack):
            own = None
        task = Object(self.prog, "struct task_struct *", stack.task.address)
        for key in gives(self.reader, task, stack) & wanted - {own}:
            if key[0].partition(" ")[0] in kinds:
                by = {"users": "user"}.get(key[0], "signals" if key[0] in SIGNALS else "code")
                found.setdefault(key, []).append(Holder(stack.task, alive=True, known_by=by))

    def _strike_signals(self) -> None:
        """An event may be signalled by many: one of them that is stuck counts only in a circle.

        Or if its whole CPU begins no work item.
        """
        graph = Waits(tuple(self.waits.values()), 0, 0)
        for address, wait in list(self.waits.items()):
            lock = wait.lock
            if lock is None or lock.kind != "event" or not lock.holders:
                continue
            stuck = tuple(
                h for h in lock.holders if h.known_by == "pool" or waits_for(graph, h, wait)
            )
            if stuck != lock.holders:
                left = replace(lock, holders=stuck)
                self.waits[address] = replace(wait, lock=left)

    def _strike_readers(self) -> None:
        """A last reader that waits for the lock itself, and in no code that has it, reads no more.

        Whoever does may have come before it: the lock remembers one of its readers.
        """
        stale = {
            wait.lock.key
            for wait in self.waits.values()
            if wait.lock is not None
            and any(
                h.known_by == "last reader" and h.task.address == wait.task.address
                for h in wait.lock.holders
            )
            and wait.stack.missing is None
            and not wait.may_hold(wait.lock)
        }
        for address, wait in list(self.waits.items()):
            if wait.lock is not None and wait.lock.key in stale:
                alone = replace(wait.lock, holders=())
                self.waits[address] = replace(wait, lock=alone)

    def _unheld(self) -> set[tuple[str, int]]:
        """What is waited for that names no owner, by kind and address."""
        return {
            wait.lock.key
            for wait in self.waits.values()
            if wait.lock is not None
            and wait.lock.address is not None
            and (
                (wait.lock.kind in UNOWNED and not wait.lock.holders)
                or (wait.lock.kind == "rwsem" and self._passed_on(wait.lock))
                or (wait.lock.kind == "rwsem" and not wait.lock.holders)
            )
        }

    def _passed_on(self, lock: Lock) -> bool:
        """Whether the last reader, whom the lock remembers, is not one that still reads."""
        last = next((h for h in lock.holders if h.known_by == "last reader"), None)
        wait = self.waits.get(last.task.address) if last is not None else None
        return last is not None and (wait is None or wait.holding(lock) is None)

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
            if self._add(task, seconds_since_run(task), victim=False) is None:
                pointer = TaskPointer(0, "?", Address(wanted))
                self.waits[wanted] = Wait(
                    TaskStack(pointer, -1, "?", (), None), None, None, victim=False
                )


def waits_for(graph: Waits, holder: Holder, wait: Wait) -> bool:
    """Whether a holder waits, in the end, for a task that waits for it."""
    first = graph.of(holder.task.address)
    chain = graph.chain(first)[0] if first is not None else []
    return any(one.task.address == wait.task.address for one in chain)

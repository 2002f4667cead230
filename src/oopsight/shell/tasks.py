"""The tasks of the dump, however damaged their lists are, and which of them were running."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from oopsight.shell.bulk import Fields
from oopsight.shell.output import readable_errors
from oopsight.text import c_string, printable

MOST_TASKS = 4_000_000
_STATES = {
    "R": "RU",
    "S": "IN",
    "D": "UN",
    "T": "ST",
    "t": "TR",
    "X": "DE",
    "Z": "ZO",
    "P": "PA",
    "I": "ID",
}  # one table
_PF_KTHREAD = 0x00200000
_BASICS = {
    "pid": ("pid",),
    "tgid": ("tgid",),
    "cpu": ("thread_info.cpu", "cpu"),
    "state": ("__state", "state"),
    "exit_state": ("exit_state",),
    "flags": ("flags",),
    "parent": ("real_parent",),
    "mm": ("mm",),
    "comm": ("comm",),
    "stack": ("stack",),
    "on_cpu": ("on_cpu",),
}


class Basics(NamedTuple):
    """What most commands want to know of a task, read in one go."""

    pid: int
    tgid: int
    cpu: int
    state: int
    exit_state: int
    flags: int
    parent: int
    """``real_parent``, an address."""
    mm: int
    """An address; 0 of a kernel thread."""
    comm: bytes
    stack: int
    """Address of the lowest byte of the kernel stack."""
    on_cpu: int

    @property
    def name(self) -> str:
        """Its name, safe to show."""
        return printable(self.comm.partition(b"\0")[0])

    @property
    def kernel(self) -> bool:
        """Whether it never has user memory; idle tasks too."""
        return bool(self.flags & _PF_KTHREAD) or not self.pid


class _Reader:
    """Reads basics; the last ones are kept, since several ask for them in turn."""

    def __init__(self, prog: Any) -> None:
        self.fields: Fields | None = None
        with contextlib.suppress(LookupError):  # a kernel without one of them: member by member
            self.fields = Fields(prog, "struct task_struct", _BASICS)
        self.address = 0
        self.basics: Basics | None = None

    def read(self, address: int) -> Basics | None:
        if address != self.address:
            self.basics = None
            self.address = address
            if self.fields is not None:
                with contextlib.suppress(*readable_errors()):  # whoever asks finds out which it is
                    self.basics = Basics(*self.fields.read(address))
        return self.basics


def basics(task: Any) -> Basics | None:
    """The basics of a task; ``None`` where not all of them can be read.

    :param task: ``struct task_struct *``
    """
    cache = task.prog_.cache
    reader = cache.get("oopsight-basics")
    if reader is None:
        reader = cache["oopsight-basics"] = _Reader(task.prog_)
    found: Basics | None = reader.read(task.value_())
    return found


def cpus_of(prog: Any) -> list[int]:
    """CPUs that the machine has, those stopped by the panic too."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu, for_each_present_cpu

    for walk in (for_each_present_cpu, for_each_possible_cpu):
        try:
            found = sorted(walk(prog))
        except readable_errors():
            continue
        if found:
            return found
    return [0]


def idle_tasks(prog: Any) -> Iterator[Any]:
    """The idle task of each CPU, ``struct task_struct *``; those that cannot be read left out."""
    from drgn.helpers.linux.sched import idle_task

    for cpu in cpus_of(prog):
        try:
            yield idle_task(prog, cpu)
        except readable_errors():
            continue


def current_tasks(prog: Any) -> dict[int, Any]:
    """What each CPU was running, ``struct task_struct *`` by CPU."""
    from drgn.helpers.linux.sched import cpu_curr

    found: dict[int, Any] = {}
    for cpu in cpus_of(prog):
        try:
            task = cpu_curr(prog, cpu)
        except readable_errors():
            continue
        if task:
            found[cpu] = task
    return found


def _by_pid(prog: Any) -> Iterator[Any]:
    from drgn.helpers.linux.pid import for_each_task

    yield from for_each_task(prog)


def _by_list(prog: Any, *, backwards: bool) -> Iterator[Any]:
    """Along ``init_task.tasks``, with each one's threads."""
    from drgn import container_of
    from drgn.helpers.linux.list import list_for_each_entry

    start = prog["init_task"].address_of_()
    node = start.tasks.prev if backwards else start.tasks.next
    for _ in range(MOST_TASKS):
        task = container_of(node.read_(), "struct task_struct", "tasks")
        if task == start:
            return
        yield task
        try:
            yield from list_for_each_entry(
                "struct task_struct", task.signal.thread_head.address_of_(), "thread_node"
            )
        except readable_errors():
            pass
        node = task.tasks.prev if backwards else task.tasks.next


def all_tasks(prog: Any, problems: list[Exception], *, idle: bool = True) -> list[Any]:
    """Every task that can be reached: idle tasks by CPU, then by pid.

    The pid table is walked; where a page of it is missing, the list of tasks from both ends too.

    :param problems: gets what could not be read
    :return: ``struct task_struct *`` each, none twice
    """
    found: dict[int, Any] = {}
    if idle:
        for task in idle_tasks(prog):
            found.setdefault(task.value_(), task)
    before = len(problems)
    walks = [_by_pid(prog)]
    while walks:
        walk = walks.pop(0)
        try:
            for task in walk:
                address = task.value_()
                if address not in found:
                    found[address] = task
                if len(found) > MOST_TASKS:
                    break
        except readable_errors() as error:
            if not problems:
                walks = [_by_list(prog, backwards=False), _by_list(prog, backwards=True)]
            problems.append(error)
    if len(problems) == before and prog.type("struct pid_namespace").has_member("idr"):
        return list(found.values())  # since Linux 4.15 the pid table is in this order
    return sorted(found.values(), key=_order)


def _order(task: Any) -> tuple[int, int, int]:
    try:
        pid = task.pid.value_()
    except readable_errors():
        return (1 << 31, 0, task.value_())
    if pid:
        return (pid, 0, task.value_())
    from drgn.helpers.linux.sched import task_cpu

    try:
        return (0, task_cpu(task), 0)
    except readable_errors():
        return (0, 1 << 16, 0)


def pid_of(task: Any) -> int:
    """Its pid.

    :raises drgn.FaultError: if it cannot be read
    """
    return int(task.pid.value_())


def comm_of(task: Any) -> str:
    """Its name, safe to show."""
    return printable(c_string(task.comm))


def state_of(task: Any) -> str:
    """Two letters: RU, IN, UN, ST, TR, DE, ZO, PA, ID or NE."""
    from drgn.helpers.linux.sched import task_state_to_char

    if (task.member_("__state") if _has_new_state(task) else task.state).value_() & 0x800:
        return "NE"
    letter = task_state_to_char(task)
    return _STATES.get(letter, letter)


def state_by(task: Any, known: Basics) -> str:
    """As :func:`state_of`, found once for all tasks in the same state."""
    memo: dict[tuple[int, int], str] = task.prog_.cache.setdefault("oopsight-states", {})
    key = known.state, known.exit_state
    if key not in memo:
        memo[key] = state_of(task)
    return memo[key]


def _has_new_state(task: Any) -> bool:
    return bool(task.prog_.type("struct task_struct").has_member("__state"))


def is_kernel_thread(task: Any) -> bool:
    """Whether it never has user memory (PF_KTHREAD); idle tasks too."""
    return bool(task.flags.value_() & _PF_KTHREAD) or pid_of(task) == 0


def cpu_of(task: Any) -> int:
    """The CPU it ran on last."""
    from drgn.helpers.linux.sched import task_cpu

    return int(task_cpu(task))

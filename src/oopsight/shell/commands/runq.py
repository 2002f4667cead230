"""Display the tasks on the run queues of each CPU.

CPUs that the panic stopped are shown too.

Examples
    crash> runq
    crash> runq -c 1
    crash> runq -m
    crash> runq -T
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.numbers import cpus
from oopsight.shell.output import readable_errors
from oopsight.shell.tasks import comm_of, cpus_of, pid_of
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "runq [-t] [-T] [-m] [-g] [-d] [-c cpu(s)]"
OPTIONS = {
    "-t": "each run queue's clock, and when its current task began to run",
    "-T": "how far each clock lies behind the latest",
    "-m": "for how long the current task has been running",
    "-g": "tasks by task group",
    "-d": "all tasks whose on_rq is set",
    "-c CPUS": "of these CPUs only",
}
DRGN = ("-c",)
MOST = 1_000_000


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the run queues."""
    chosen = cpus(args.value("-c") or "a", cpus_of(shell.prog))
    if args.has("-T"):
        _lags(shell, chosen, out)
        return
    if args.has("-d"):
        _on_queue(shell, chosen, out)
        return
    for number, cpu in enumerate(chosen):
        if number and not args.has("-t", "-m"):
            out.line()
        with out.item(f"run queue of CPU {cpu}"):
            queue = _queue(shell, cpu)
            if args.has("-t"):
                _clock(cpu, queue, out)
            elif args.has("-m"):
                _running(cpu, queue, out)
            elif args.has("-g"):
                _groups(shell, cpu, queue, out)
            else:
                _tasks(cpu, queue, out)


def _queue(shell: Shell, cpu: int) -> Any:
    from drgn.helpers.linux.percpu import per_cpu

    return per_cpu(shell.prog["runqueues"], cpu)


def task_text(task: Any) -> str:
    """A task in short."""
    return f'PID: {pid_of(task):<5}  TASK: {task.value_():x}  COMMAND: "{comm_of(task)}"'


def _tasks(cpu: int, queue: Any, out: Out) -> None:
    out.line(f"CPU {cpu} RUNQUEUE: {queue.address_:x}")
    current = queue.curr.read_()
    out.line(f"  CURRENT: {task_text(current)}")
    out.row(None, cpu=cpu, queue="current", task=Address(current.value_()), pid=pid_of(current))
    out.line(f"  RT PRIO_ARRAY: {queue.rt.active.address_:x}")
    some = False
    for task in out.walk(_real_time(queue), "real-time queue", MOST):
        some = True
        _queued(cpu, "rt", task, out)
    if not some:
        out.line("     [no tasks queued]")
    root = queue.cfs.tasks_timeline.rb_root
    out.line(f"  CFS RB_ROOT: {root.address_:x}")
    some = False
    for task in out.walk(_fair(queue.cfs), "fair queue", MOST):
        if task.value_() == current.value_():
            continue
        some = True
        _queued(cpu, "cfs", task, out)
    if not some:
        out.line("     [no tasks queued]")


def _queued(cpu: int, name: str, task: Any, out: Out) -> None:
    with out.item(f"task {task.value_():x}"):
        out.row(
            f"     [{int(task.prio.value_()):3}] {task_text(task)}",
            cpu=cpu,
            queue=name,
            task=Address(task.value_()),
            pid=pid_of(task),
            prio=int(task.prio.value_()),
        )


def _real_time(queue: Any) -> Iterator[Any]:
    from drgn import container_of
    from drgn.helpers.linux.list import list_for_each_entry

    for head in queue.rt.active.queue:
        for entity in list_for_each_entry("struct sched_rt_entity", head.address_of_(), "run_list"):
            try:
                if entity.my_q:
                    continue  # a group, not a task
            except AttributeError:
                pass
            yield container_of(entity, "struct task_struct", "rt")


def _fair(cfs: Any, depth: int = 0) -> Iterator[Any]:
    """Tasks of a fair queue and of the groups on it."""
    from drgn import container_of
    from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry

    entries = rbtree_inorder_for_each_entry(
        "struct sched_entity", cfs.tasks_timeline.rb_root.address_of_(), "run_node"
    )
    for entity in entries:
        try:
            group = entity.my_q.read_()
        except AttributeError:
            group = None
        if group:
            if depth < 32:
                yield from _fair(group[0], depth + 1)
            continue
        yield container_of(entity, "struct task_struct", "se")
    # What runs is taken off the tree.
    try:
        current = cfs.curr.read_()
    except AttributeError:
        return
    if current:
        try:
            group = current.my_q.read_()
        except AttributeError:
            group = None
        if group and depth < 32:
            yield from _fair(group[0], depth + 1)


def _clock(cpu: int, queue: Any, out: Out) -> None:
    current = queue.curr.read_()
    clock = int(queue.clock.value_())
    since = int(current.sched_info.last_arrival.value_())
    title = f"{f'CPU {cpu}':>6}: "
    out.line(f"{title}{clock}")
    out.row(
        f"{'':{len(title)}}{since:0{len(str(clock))}}  {task_text(current)}",
        cpu=cpu,
        clock=clock,
        since=since,
        pid=pid_of(current),
    )  # one row


def _running(cpu: int, queue: Any, out: Out) -> None:
    current = queue.curr.read_()
    ran = max(0, int(queue.clock.value_()) - int(current.sched_info.last_arrival.value_()))
    days, rest = divmod(ran // 10**6, 86_400_000)
    clock = (
        f"{rest // 3_600_000:02}:{rest // 60_000 % 60:02}:{rest // 1000 % 60:02}.{rest % 1000:03}"
    )
    out.row(
        f" CPU {cpu}: [{days} {clock}]  {task_text(current)}",
        cpu=cpu,
        ran_ns=ran,
        pid=pid_of(current),
    )  # one row


def _lags(shell: Shell, chosen: list[int], out: Out) -> None:
    clocks = {}
    for cpu in chosen:
        with out.item(f"run queue of CPU {cpu}"):
            clocks[cpu] = int(_queue(shell, cpu).clock.value_())
    latest = max(clocks.values(), default=0)
    for cpu, clock in sorted(clocks.items(), key=lambda row: -row[1]):
        lag = (latest - clock) / 1e9
        out.row(f"  CPU {cpu}: {lag:.2f} secs", cpu=cpu, lag_seconds=lag)


def _on_queue(shell: Shell, chosen: list[int], out: Out) -> None:
    from oopsight.shell.tasks import cpu_of

    by_cpu: dict[int, list[Any]] = {cpu: [] for cpu in chosen}
    for task in shell.tasks():
        try:
            if int(task.on_rq.value_()) and cpu_of(task) in by_cpu:
                by_cpu[cpu_of(task)].append(task)
        except readable_errors():
            continue
    for number, cpu in enumerate(chosen):
        if number:
            out.line()
        out.line(f"CPU {cpu}")
        for task in by_cpu[cpu]:
            _queued(cpu, "on_rq", task, out)


def _groups(shell: Shell, cpu: int, queue: Any, out: Out) -> None:
    current = queue.curr.read_()
    out.line(f"CPU {cpu}\n  CURRENT: {task_text(current)}")
    root = shell.prog["root_task_group"].address_
    out.line(f"  ROOT_TASK_GROUP: {root:x}  CFS_RQ: {queue.cfs.address_:x}")
    seen = False
    if pid_of(current):
        seen = True
        out.line(f"     [{int(current.prio.value_()):3}] {task_text(current)} [CURRENT]")
    for task in out.walk(_real_time(queue), "real-time queue", MOST):
        seen = True
        _queued(cpu, "rt", task, out)
    for task in out.walk(_fair(queue.cfs), "fair queue", MOST):
        if task.value_() == current.value_():
            continue
        seen = True
        with out.item(f"task {task.value_():x}"):
            group = ""
            if task.sched_task_group.value_() != root:
                name = task.sched_task_group.css.cgroup.kn.name
                address = task.sched_task_group.value_()
                group = f"  TASK_GROUP: {address:x} <{printable(c_string(name))}>"
            _queued(cpu, "cfs", task, out)
            if group:
                out.line(f"          {group}")
    if not seen:
        out.line("     [no tasks queued]")


def drgn_code(shell: Shell, args: Args) -> str:
    """Of each CPU what it runs and what waits for it."""
    wanted = cpus(args.value("-c") or "a", cpus_of(shell.prog))
    return f"""
for cpu in {wanted}:
    print(cpu, hex(cpu_curr(prog, cpu)))
    for task in rq_for_each_rt_task(cpu_rq(prog, cpu)):
        print("  RT", hex(task), task.comm.string_().decode())
    for task in rq_for_each_fair_task(cpu_rq(prog, cpu)):
        print("  FAIR", hex(task), task.comm.string_().decode())"""

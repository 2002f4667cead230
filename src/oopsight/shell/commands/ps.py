"""Display process status information.

Tasks by pid, the address of a ``task_struct`` or the name; a pattern in single quotes is a regular
expression. ``>`` marks what a CPU was running when the machine went down, on CPUs that the panic
stopped too. The memory columns are in kilobytes.

Examples
All tasks, and one with its ancestors:

    crash> ps
    crash> ps -p 143

When each task ran last, the latest first:

    crash> ps -m

How many tasks are in which state:

    crash> ps -S

Tasks whose name begins with `ngin`, as data:

    crash> ps '^ngin' --json
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from oopsight.evidence import Address
from oopsight.shell.numbers import cpus, duration, hexadecimal
from oopsight.shell.output import Gap, readable_errors
from oopsight.shell.show import header, header_of, task_data
from oopsight.shell.taskcode import listing
from oopsight.shell.taskmemory import memory_of, memory_pages
from oopsight.shell.tasks import (
    Basics,
    basics,
    comm_of,
    cpu_of,
    cpus_of,
    current_tasks,
    is_kernel_thread,
    pid_of,
    state_by,
    state_of,
)
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "ps [-k|-u|-G|-I|-y policy] [-s] [-p|-c|-t|-[l|m][-C cpus]|-a|-g|-r|-S|-A|-H]\n"
    "   [pid | task | command] ..."
)
OPTIONS = {
    "-k": "only kernel threads",
    "-u": "only user tasks",
    "-G": "only the leader of each thread group",
    "-I": "without idle tasks",
    "-y POLICY": "only tasks of these scheduling policies, by number or name, comma-separated",
    "-s": "KSTACKP, the kernel stack pointer, in place of TASK",
    "-p": "each task's ancestors",
    "-c": "each task's children",
    "-t": "run time, start time, user and system time",
    "-l": "when each ran last, in ns, the latest first",
    "-m": "how long ago each ran, the latest first",
    "-C CPUS": "with -l or -m: by CPU",
    "-a": "command line and environment",
    "-g": "threads by group",
    "-r": "resource limits",
    "-S": "how many tasks are in which state",
    "-A": "only what each CPU was running",
    "-H": "without the line of titles",
}
DRGN = ("-k", "-u", "-G", "-I", "-a", "-r", "-t", "-p", "-S", "-H")
_POLICIES = {"NORMAL": 0, "FIFO": 1, "RR": 2, "BATCH": 3, "ISO": 4, "IDLE": 5, "DEADLINE": 6}
# include/uapi/asm-generic/resource.h
_LIMITS = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
]
_INFINITY = (1 << 64) - 1
MOST_ARGUMENT_BYTES = 1 << 20


def run(shell: Shell, args: Args, out: Out) -> None:
    """Choose the tasks, and show them in the way asked for."""
    tasks = list(chosen(shell, args, out))
    show(shell, args, out, tasks)
    if not args.rest:
        shell.task_problems(out)


def show(shell: Shell, args: Args, out: Out, tasks: list[Any]) -> None:
    """Show these tasks as the options say."""
    if args.has("-S"):
        _summary(tasks, out)
    elif args.has("-l", "-m"):
        _last_run(shell, args, out, tasks)
    else:
        for flag, one in _SHOWN.items():
            if args.has(flag):
                for task in tasks:
                    with out.item(f"task {task.value_():x}"):
                        one(shell, task, out)
                return
        _table(shell, args, out, tasks)


def chosen(shell: Shell, args: Args, out: Out) -> Iterator[Any]:
    """The tasks that arguments and options leave."""
    wanted = [_matcher(word) for word in args.rest]
    policies = {_policy(word) for word in args.values("-y")}
    running = {t.value_() for t in current_tasks(shell.prog).values()} if args.has("-A") else set()
    matched = [False] * len(wanted)
    for task in shell.tasks():
        try:
            hits = [match(task) for match in wanted]
            if wanted and not any(hits):
                continue
            matched = [was or hit for was, hit in zip(matched, hits, strict=True)]
            if args.has("-k") and not is_kernel_thread(task):
                continue
            if args.has("-u") and is_kernel_thread(task):
                continue
            if args.has("-G") and pid_of(task) != int(task.tgid.value_()):
                continue
            if args.has("-I") and pid_of(task) == 0:
                continue
            if policies and int(task.policy.value_()) not in policies:
                continue
            if args.has("-A") and task.value_() not in running:
                continue
        except readable_errors():
            # What cannot be judged is shown rather than hidden.
            if wanted:
                continue
        yield task
    for word, hit in zip(args.rest, matched, strict=True):
        if not hit:
            out.line(f"ps: {word}: no task has this pid, address or name")


def _matcher(word: str) -> Callable[[Any], bool]:
    if word.startswith("'") and word.endswith("'") and len(word) > 2:
        try:
            pattern = re.compile(word[1:-1])
        except re.error as error:
            raise ValueError(f"{word}: {error}") from None
        return lambda task: pattern.search(comm_of(task)) is not None
    if word.isdecimal():
        return lambda task: pid_of(task) == int(word)
    address = hexadecimal(word)
    name = word.removeprefix("\\")
    if address is not None and address >> 47:
        return lambda task: bool(task.value_() == address)
    return lambda task: comm_of(task) == name[:15] or comm_of(task) == name


def _policy(word: str) -> int:
    if word.isdecimal():
        return int(word)
    if word.upper() not in _POLICIES:
        raise ValueError(f"{word}: no scheduling policy; they are {', '.join(_POLICIES)}")
    return _POLICIES[word.upper()]


# -- the table ---------------------------------------------------------------------------------


def _table(shell: Shell, args: Args, out: Out, tasks: list[Any]) -> None:
    stack = args.has("-s")
    if not args.has("-H"):
        column = "    KSTACKP    " if stack else "     TASK      "
        out.line(f"      PID    PPID  CPU  {column}  ST  %MEM      VSZ      RSS  COMM")
    running = {t.value_() for t in current_tasks(shell.prog).values()}
    total = memory_pages(shell, holes=True) * 4096
    for task in tasks:
        _row(shell, task, out, running, total, stack=stack)


class _Row(NamedTuple):
    """What a line shows of a task; marks in the place of what could not be read."""

    pid: Any
    parent: Any
    cpu: Any
    state: Any
    memory: Any
    comm: Any
    kernel: Any


def _row(shell: Shell, task: Any, out: Out, running: set[int], total: int, *, stack: bool) -> None:
    address = task.value_()
    mark = ">" if address in running else " "
    pid, parent, cpu, state, memory, comm, kernel = _values(shell, task, out)
    where: Any = f"{address:x}"
    if stack:
        where = "--" if mark == ">" else out.got(lambda: f"{task.thread.sp.value_():x}", "stack")
    vsz: Any
    rss: Any
    if isinstance(memory, Gap):
        vsz = rss = memory
        share: Any = "?"
    else:
        vsz, rss = memory[0] >> 10, memory[1] >> 10
        share = f"{100 * memory[1] / total:.1f}" if total else "0.0"
    name = f"[{comm}]" if kernel is True and not isinstance(comm, Gap) else str(comm)
    text = (
        f"{mark}{pid!s:>8}{parent!s:>8}{cpu!s:>4}  {where!s:^16}  {state!s:<2}"
        f"{share:>6}{vsz!s:>9}{rss!s:>9}  {name}"
    )
    if not out.keep_rows:
        out.line(text)
        return
    out.row(
        text,
        pid=pid,
        ppid=parent,
        cpu=cpu,
        task=Address(address),
        state=state,
        memory_percent=share if isinstance(memory, Gap) else float(share),
        vsz_kib=vsz,
        rss_kib=rss,
        command=comm,
        running=mark == ">",
    )


def _values(shell: Shell, task: Any, out: Out) -> _Row:
    """Read in one go; where something is amiss one by one, each with its own mark."""
    known = basics(task)
    if known is None:
        pid = out.got(lambda: pid_of(task), "pid")
        return _Row(
            pid,
            out.got(lambda: int(task.real_parent.tgid.value_()), "parent") if pid else 0,
            out.got(lambda: cpu_of(task), "cpu"),
            out.got(lambda: state_of(task), "state"),
            out.got(lambda: memory_of(shell, task, task.mm.value_()), "memory"),
            out.got(lambda: comm_of(task), "comm"),
            out.got(lambda: is_kernel_thread(task), "flags"),
        )
    return _Row(
        known.pid,
        out.got(lambda: _parent(shell, task, known), "parent") if known.pid else 0,
        known.cpu,
        out.got(lambda: state_by(task, known), "state"),
        out.got(lambda: memory_of(shell, task, known.mm), "memory"),
        known.name,
        known.kernel,
    )


def _parent(shell: Shell, task: Any, known: Basics) -> int:
    """The pid of the process that a task is a child of; looked up once for all its children."""
    memo: dict[int, int] = shell.cache.setdefault("tgid-by-task", {})
    if known.parent not in memo:
        memo[known.parent] = int(task.real_parent.tgid.value_())
    return memo[known.parent]


# -- one task after another ----------------------------------------------------------------------


def _summary(tasks: list[Any], out: Out) -> None:
    counts: dict[str, int] = {}
    for task in tasks:
        state = out.got(lambda task=task: state_of(task), "state")  # type: ignore[misc]
        counts[str(state)] = counts.get(str(state), 0) + 1
    for state, count in counts.items():
        out.row(f"  {state}: {count}", state=state, count=count)


def _ancestors(shell: Shell, task: Any, out: Out) -> None:
    line = [task]
    seen = {task.value_()}
    while len(line) < 256:
        parent = out.got(line[-1].real_parent.read_, "parent")
        if isinstance(parent, Gap):
            out.line(parent.line)
            break
        if not parent or parent.value_() in seen:
            break
        seen.add(parent.value_())
        line.append(parent)
    rows = []
    for depth, one in enumerate(reversed(line)):
        data = task_data(out, one)
        rows.append(data)
        out.line(" " * depth + header_of(data))
    out.row(None, task=Address(task.value_()), ancestors=rows)
    out.line()


def _children(shell: Shell, task: Any, out: Out) -> None:
    data = header(out, task)
    children = []
    for one in shell.tasks():
        try:
            if one.real_parent.value_() != task.value_() or one.value_() == task.value_():
                continue
            if pid_of(one) == 0 or pid_of(one) != int(one.tgid.value_()):
                continue
        except readable_errors():
            continue
        children.append(task_data(out, one))
        out.line("  " + header_of(children[-1]))
    if not children:
        out.line("  (no children)")
    out.row(None, **data, children=children)
    out.line()


def _group(shell: Shell, task: Any, out: Out) -> None:
    if pid_of(task) != int(task.tgid.value_()):
        task = task.group_leader.read_()
    data = header(out, task)
    threads = []
    for one in shell.tasks():
        try:
            inside = int(one.tgid.value_()) == pid_of(task) and one.value_() != task.value_()
            if not inside or pid_of(task) == 0:
                continue
        except readable_errors():
            continue
        threads.append(task_data(out, one))
        out.line("  " + header_of(threads[-1]))
    if not threads:
        out.line("  (no threads)")
    out.row(None, **data, threads=threads)
    out.line()


def _times(shell: Shell, task: Any, out: Out) -> None:
    data = header(out, task)
    started = int(task.start_time.value_())
    boot = out.got(lambda: int(task.start_boottime.value_()), "start_boottime")
    user, system = int(task.utime.value_()), int(task.stime.value_())
    now = uptime_seconds(shell)
    ran = max(0, now - (started if isinstance(boot, Gap) else boot) // 10**9)
    out.line(f"    RUN TIME: {duration(ran)}")
    out.line(f"  START TIME: {started}")
    out.line(f"       UTIME: {user}")
    out.line(f"       STIME: {system}")
    out.row(None, **data, run_seconds=ran, start_ns=started, user_ns=user, system_ns=system)
    out.line()


def uptime_seconds(shell: Shell) -> int:
    """Seconds since boot."""
    from drgn.helpers.linux.timekeeping import ktime_get_boottime_seconds

    return int(ktime_get_boottime_seconds(shell.prog))


def _arguments(shell: Shell, task: Any, out: Out) -> None:
    data = header(out, task)
    if not task.mm:
        out.line("(no user stack)\n")
        return
    texts: dict[str, Any] = {}
    for title, name in (("ARG", "arg"), ("ENV", "env")):
        start = int(task.mm.member_(f"{name}_start").value_())
        size = min(int(task.mm.member_(f"{name}_end").value_()) - start, MOST_ARGUMENT_BYTES)
        raw = out.got(lambda start=start, size=size: _user_memory(task, start, size), title)  # type: ignore[misc]
        if isinstance(raw, Gap):
            texts[title] = raw
            out.line(f"{title}: {raw}: {raw.why}")
            continue
        parts = [printable(part) for part in raw.rstrip(b"\0").split(b"\0")]
        texts[title] = parts
        if title == "ARG":
            out.line(f"ARG: {' '.join(parts)}")
        else:
            for number, part in enumerate(parts):
                out.line(f"{'ENV: ' if not number else '     '}{part}")
    out.row(None, **data, arguments=texts["ARG"], environment=texts["ENV"])
    out.line()


def _user_memory(task: Any, start: int, size: int) -> bytes:
    from drgn.helpers.linux.mm import access_process_vm

    return bytes(access_process_vm(task, start, size)) if size > 0 else b""


def _limits(shell: Shell, task: Any, out: Out) -> None:
    data = header(out, task)
    out.line("      RLIMIT     CURRENT       MAXIMUM  ")
    limits = {}
    for number, name in enumerate(_LIMITS):
        entry = task.signal.rlim[number]
        now, most = int(entry.rlim_cur.value_()), int(entry.rlim_max.value_())
        texts = ["(unlimited)" if v == _INFINITY else str(v) for v in (now, most)]
        out.line(f"{name:>12}   {texts[0]:^11}   {texts[1]:^11}".rstrip() + "  ")
        limits[name] = {"current": now, "maximum": most}
    out.row(None, **data, limits=limits)
    out.line()


_SHOWN: dict[str, Callable[[Any, Any, Any], None]] = {
    "-p": _ancestors,
    "-c": _children,
    "-g": _group,
    "-t": _times,
    "-a": _arguments,
    "-r": _limits,
}


# -- by the time of the last run -----------------------------------------------------------------


def run_clock(shell: Shell, cpu: int) -> int:
    """The run queue's clock of a CPU, ns; it is read of CPUs that the panic stopped too."""
    from drgn.helpers.linux.percpu import per_cpu

    return int(per_cpu(shell.prog["runqueues"], cpu).clock.value_())


def _last_run(shell: Shell, args: Args, out: Out, tasks: list[Any]) -> None:
    rows = []
    for task in tasks:
        with out.item(f"task {task.value_():x}"):
            rows.append((int(task.sched_info.last_arrival.value_()), task))
    rows.sort(key=lambda row: -row[0])
    if not args.has("-C"):
        _last_rows(shell, args, out, rows)
        return
    for cpu in cpus(args.value("-C") or "a", cpus_of(shell.prog)):
        out.line(f"CPU: {cpu}")
        _last_rows(shell, args, out, [row for row in rows if _on(row[1], cpu)])
        out.line()


def _on(task: Any, cpu: int) -> bool:
    try:
        return cpu_of(task) == cpu
    except readable_errors():
        return False


def _last_rows(shell: Shell, args: Args, out: Out, rows: list[tuple[int, Any]]) -> None:
    width = len(str(rows[0][0])) if rows else 0
    for when, task in rows:
        data = task_data(out, task)
        state = out.got(lambda task=task: state_of(task), "state")  # type: ignore[misc]
        if args.has("-m"):
            clock = out.got(lambda task=task: run_clock(shell, cpu_of(task)), "run queue's clock")  # type: ignore[misc]
            if isinstance(clock, Gap):
                shown = str(clock)
            else:
                ago = max(0, clock - when)
                days, rest = divmod(ago // 10**6, 86_400_000)
                clock_text = (
                    f"{rest // 3_600_000:02}:{rest // 60_000 % 60:02}:{rest // 1000 % 60:02}"
                )
                shown = f"{days} {clock_text}.{rest % 1000:03}"
        else:
            shown = f"{when:>{width}}"
        out.row(f"[{shown}] [{state}]  {header_of(data)}", last_run_ns=when, state=state, **data)


def drgn_code(shell: Shell, args: Args) -> str:
    """A loop over all tasks."""
    del shell
    return listing(args)

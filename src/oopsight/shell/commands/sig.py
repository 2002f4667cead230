"""Display signal handlers and pending signals of tasks.

Examples
    crash> sig 1
    crash> sig -g 1
    crash> sig -l
    crash> sig -s 8800
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.code import for_tasks
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.show import header
from oopsight.shell.tasks import pid_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "sig [[-l] | [-s sigset]] | [-g] [pid | task] ..."
OPTIONS = {
    "-l": "numbers and names of signals",
    "-s SIGSET": "which signals a 64-bit set holds",
    "-g": "of all threads of the process",
}
# arch/x86/include/uapi/asm/signal.h
_NAMES = [
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT/SIGIOT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
    "STKFLT",
    "CHLD/SIGCLD",
    "CONT",
    "STOP",
    "TSTP",
    "TTIN",
    "TTOU",
    "URG",
    "XCPU",
    "XFSZ",
    "VTALRM",
    "PROF",
    "WINCH",
    "IO/SIGPOLL",
    "PWR",
    "SYS/SIGUNUSED",
]
_REAL_TIME = 32
_COUNT = 64
_FLAGS = (
    (1, "SA_NOCLDSTOP"), (2, "SA_NOCLDWAIT"), (4, "SA_SIGINFO"), (0x08000000, "SA_ONSTACK"),
    (0x10000000, "SA_RESTART"), (0x40000000, "SA_NODEFER"), (0x80000000, "SA_RESETHAND"),
    (0x04000000, "SA_RESTORER"),
)  # fmt: skip
MOST_QUEUED = 100_000


def name_of(number: int) -> str:
    """Name of a signal."""
    if number <= len(_NAMES):
        return f"SIG{_NAMES[number - 1]}"
    if number < _REAL_TIME:
        return f"SIG{number}"
    if number == _REAL_TIME:
        return "SIGRTMIN"
    if number == _COUNT:
        return "SIGRTMAX"
    middle = (_REAL_TIME + _COUNT) // 2
    if number <= middle:
        return f"SIGRTMIN+{number - _REAL_TIME}"
    return f"SIGRTMAX-{_COUNT - number}"


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show names, a set, or tasks."""
    if args.has("-l"):
        for number in range(1, _COUNT + 1):
            out.row(f"{f'[{number}]':>4} {name_of(number)}", number=number, name=name_of(number))
        return
    if args.has("-s"):
        value = hexadecimal(args.value("-s") or "") or 0
        names = [name_of(n) for n in range(1, _COUNT + 1) if value >> (n - 1) & 1]
        out.row(" ".join(names), set=Address(value), names=names)
        return
    for count, task in enumerate([shell.find_task(w) for w in args.rest] or [shell.task]):
        if count:
            out.line()
        if args.has("-g"):
            _group(shell, task, out)
        else:
            _task(task, out)


def _handlers(task: Any, out: Out) -> None:
    signal = task.signal.read_()
    threads = out.got(lambda: int(signal.nr_threads.value_()), "nr_threads")
    out.line(f"SIGNAL_STRUCT: {signal.value_():x}  NR_THREADS: {threads}")
    out.line(" SIG    SIGACTION        HANDLER       MASK       FLAGS           ")
    for number, action in enumerate(task.sighand.action, 1):
        with out.item(f"signal {number}"):
            handler = int(action.sa.sa_handler.value_())
            mask = int(action.sa.sa_mask.sig[0].value_())
            flags = int(action.sa.sa_flags.value_())
            shown = {0: "SIG_DFL", 1: "SIG_IGN"}.get(handler, f"{handler:x}")
            names = "|".join(name for bit, name in _FLAGS if flags & bit)
            tail = f"({names})" if names else ""
            out.row(
                f"{f'[{number}]':>4} {action.address_:016x} {shown:>10} {mask:016x} {flags:x} "
                f"{tail}",
                signal=number,
                sigaction=Address(action.address_),
                handler=Address(handler),
                mask=Address(mask),
                flags=Address(flags),
            )


def _set(value: Any) -> int:
    return int(value.sig[0].value_())


def _queued(pending: Any, title: str, out: Out, indent: str) -> None:
    from drgn.helpers.linux.list import list_for_each_entry

    out.line(f"{indent}{title}")
    out.line(f"{indent}    SIGNAL: {_set(pending.signal):016x}")
    queue = list_for_each_entry("struct sigqueue", pending.member_("list").address_of_(), "list")
    rows = list(out.walk(queue, "signal queue", MOST_QUEUED))
    if not rows:
        out.line(f"{indent}  SIGQUEUE: (empty)")
        return
    out.line(f"{indent}  SIGQUEUE:  SIG  SIGINFO")
    for entry in rows:
        with out.item("queued signal"):
            number = int(entry.info.si_signo.value_())
            out.line(f"{indent}             {number:3}  {entry.info.address_:x}")


def _blocked(task: Any, out: Out, indent: str) -> None:
    value = _set(task.pending.signal) | _set(task.signal.shared_pending.signal)
    out.line(f"{indent}SIGPENDING: {'yes' if value & ~_set(task.blocked) else 'no'}")
    out.line(f"{indent}   BLOCKED: {_set(task.blocked):016x}")


def _task(task: Any, out: Out) -> None:
    header(out, task)
    if not task.signal or not task.sighand:
        out.line("(no signal_struct: the task has exited)")
        return
    with out.item("signal handlers"):
        _handlers(task, out)
    with out.item("pending signals"):
        _blocked(task, out, "")
        _queued(task.pending, "PRIVATE_PENDING", out, "")
    with out.item("shared pending signals"):
        _queued(task.signal.shared_pending, "SHARED_PENDING", out, "")


def _group(shell: Shell, task: Any, out: Out) -> None:
    leader = task.group_leader.read_()
    header(out, leader)
    if not leader.signal or not leader.sighand:
        out.line("(no signal_struct: the task has exited)")
        return
    with out.item("signal handlers"):
        _handlers(leader, out)
    with out.item("shared pending signals"):
        _queued(leader.signal.shared_pending, "SHARED_PENDING", out, "")
    group = pid_of(leader)
    for one in shell.tasks():
        with out.item(f"task {one.value_():x}"):
            if int(one.tgid.value_()) != group or not group:
                continue
            out.write("\n  ")
            header(out, one)
            _blocked(one, out, "  ")
            _queued(one.pending, "PRIVATE_PENDING", out, "  ")


def drgn_code(shell: Shell, args: Args) -> str:
    """The handlers, 0 for the default and 1 for ignored."""
    body = """
for number, action in enumerate(task.sighand.action, 1):
    print(number, hex(action.sa.sa_handler))"""
    return for_tasks(shell, args.rest, body)

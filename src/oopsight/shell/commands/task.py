"""Display the task_struct of tasks, or members of it, and the thread_info.

Examples
    crash> task -R pid,comm
    crash> task -R thread_info.flags -x 143
    crash> task 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.shell import structs
from oopsight.shell.code import for_tasks
from oopsight.shell.show import header

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "task [-R member[,member]] [-dx] [pid | task] ..."
OPTIONS = {
    "-R MEMBER": "only these members, of task_struct or of thread_info",
    "-x": "numbers in hexadecimal",
    "-d": "numbers in decimal",
}
DRGN = ("-R",)


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show each task."""
    for number, task in enumerate([shell.find_task(w) for w in args.rest] or [shell.task]):
        if number:
            out.line()
        header(out, task)
        _one(shell, task, args, out)


def _one(shell: Shell, task: Any, args: Args, out: Out) -> None:
    from drgn.helpers.linux.sched import task_thread_info

    paths = args.values("-R")
    if not paths:
        structs.one(shell, task[0], [], args, out)
        info = task_thread_info(task)
        out.line()
        structs.one(shell, info[0], [], args, out)
        return
    type_ = shell.prog.type("struct task_struct")
    for path in paths:
        name = path.partition(".")[0].partition("[")[0]
        owner = task[0] if type_.has_member(name) else task_thread_info(task)[0]
        structs.members(shell, owner, [path], args, out)


def drgn_code(shell: Shell, args: Args) -> str:
    """The whole task_struct, or members of it."""
    members = args.values("-R")
    if not members:
        return for_tasks(shell, args.rest, "print(task[0])")
    return for_tasks(shell, args.rest, "\n".join(f"print(task.{name})" for name in members))

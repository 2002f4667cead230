"""drgn code that gives what a command shows, with the arguments as they were typed.

A command's file has ``drgn_code(shell, args)``, which makes the code, and ``DRGN``, the options
that the code takes into account. With another option there is no code rather than one that does
less.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from oopsight.errors import UsageError

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.registry import Command

_CALL = re.compile(r"\b([a-z_A-Z]\w*)(?=\()")
_OVER = "code-over-tasks"
ALL_TASKS = """
from itertools import chain

idle = (idle_task(prog, cpu) for cpu in for_each_present_cpu(prog))
for task in chain(idle, for_each_task(prog)):
"""
"""The loop over all tasks; drgn's own leaves out the idle tasks of CPUs that the panic stopped."""
# Options that change only how numbers are written.
_STYLE = ("-x", "-d")


def code_of(shell: Shell, command: Command, args: Args) -> str:
    """The code of a command line, with its imports.

    :raises UsageError: if there is none
    """
    return with_imports(_body(shell, command, args))


def _body(shell: Shell, command: Command, args: Args) -> str:
    make = getattr(command.module, "drgn_code", None)
    if make is None:
        raise UsageError("there is no drgn code for this command: it is not a view of memory")
    covered = (*getattr(command.module, "DRGN", ()), *_STYLE)
    for flag, _ in args.given:
        if flag not in covered:
            raise UsageError(f"there is no short drgn code for option {flag}")
    return str(make(shell, args))


def with_imports(body: str) -> str:
    """The code behind the imports of all drgn helpers that it calls."""
    import drgn
    import drgn.helpers.linux

    body = body.strip("\n")
    if re.match(r"(from|import) ", body):
        head, _, body = body.partition("\n\n")
        imports = [head]
    else:
        imports = []
    called = set(_CALL.findall(body))
    own = sorted(name for name in called if name in ("Object", "container_of", "offsetof"))
    if own:
        imports.append(f"from drgn import {', '.join(own)}")
    helpers = sorted(called & set(drgn.helpers.linux.__all__))
    if helpers:
        imports.append(f"from drgn.helpers.linux import {', '.join(helpers)}")
    return "\n".join([*imports, *([""] if imports else []), body]) + "\n"


def task_expression(task: Any) -> str:
    """How drgn finds a task: by its pid, an idle task by its address.

    :param task: ``struct task_struct *``
    """
    pid = int(task.pid.value_())
    if pid:
        return f"find_task(prog, {pid})"
    return f'Object(prog, "struct task_struct *", {task.value_():#x})'


def for_tasks(shell: Shell, words: list[str], body: str) -> str:
    """Code for one task, bound to ``task``, or for each of several.

    :param words: pids and addresses; the current task where there are none
    :param body: what is done with ``task``
    """
    over = shell.cache.get(_OVER)
    if over is None:
        tasks = [shell.find_task(word) for word in words] or [shell.task]
        if len(tasks) == 1:
            return f"task = {task_expression(tasks[0])}\n{body.strip()}"
        over = f"for task in ({', '.join(task_expression(task) for task in tasks)}):\n"
    return over + indented(body)


def over_tasks(shell: Shell, loop: str, command: Command, args: Args) -> str:
    """Code of another command within a loop over tasks.

    :param loop: its first lines
    """
    shell.cache[_OVER] = loop
    try:
        return _body(shell, command, args)
    finally:
        del shell.cache[_OVER]


def indented(body: str) -> str:
    """The body of a loop."""
    return "\n".join(f"    {line}" if line else "" for line in body.strip("\n").splitlines())


def one_address(shell: Shell, args: Args) -> str:
    """The address that the first argument means, hexadecimal.

    :raises UsageError: if there is no argument
    """
    if not args.rest:
        raise UsageError("there is drgn code only for an address")
    return f"{shell.address(args.rest[0]):#x}"

"""Run a command for each of a number of tasks.

Tasks are chosen by pid, address, name, a pattern in single quotes, or the words kernel, user,
gleader, active and the states RU, IN, UN, ST, ZO, TR, SW, DE, WA, PA, ID, NE. Commands: bt, vm,
task, set, files, net, sig, vtop, rd, p, struct and all others that are about a task.

Examples
The stacks of all tasks in uninterruptible sleep:

    crash> foreach UN bt

Who has this file open:

    crash> foreach files -R slabinfo

What each CPU was doing:

    crash> foreach active bt
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from oopsight.errors import UsageError
from oopsight.shell.code import ALL_TASKS, indented, over_tasks
from oopsight.shell.output import readable_errors
from oopsight.shell.show import header
from oopsight.shell.tasks import comm_of, current_tasks, is_kernel_thread, pid_of, state_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "foreach [[pid | task | name | [kernel | user | gleader | active | state]] ...] command [flag] [argument]"  # noqa: E501  # one line of synopsis
OPTIONS: dict[str, str] = {}
RAW = True
_STATES = ("RU", "IN", "UN", "ST", "ZO", "TR", "SW", "DE", "WA", "PA", "ID", "NE")
# Commands that take a task as their argument and say its header themselves.
BY_ARGUMENT = ("bt", "vm", "task", "set", "files", "net", "sig", "ps")


def run(shell: Shell, args: Args, out: Out) -> None:
    """Choose the tasks, then run the command for each."""
    from oopsight.shell import CommandError

    choosers, words = _split(shell, list(args.rest))
    if not words:
        raise CommandError(f"no command among {args.raw!r}; usage: {SYNOPSIS}")
    name = shell.aliases.get(words[0], words[0])
    command = shell.command(name)
    if command is None:
        raise CommandError(f"{words[0]}: no such command")
    if name == "foreach":
        raise CommandError("foreach cannot run itself")
    tasks = [task for task in shell.tasks() if _chosen(shell, task, choosers)]
    rest = words[1:]
    if name == "ps":
        from oopsight.shell.commands import ps

        ps.show(shell, command.parse(rest, " ".join(rest)), out, tasks)
        return
    if name == "net" and not {"-s", "-S"} & set(rest):
        rest = ["-s", *rest]
    _run_each(shell, command, rest, tasks, out)


def _split(shell: Shell, words: list[str]) -> tuple[list[str], list[str]]:
    """What chooses tasks, and the command with its arguments."""
    choosers = []
    while words and not _is_command(shell, words[0]):
        choosers.append(words.pop(0))
    return choosers, words


def _run_each(shell: Shell, command: Any, rest: list[str], tasks: list[Any], out: Out) -> None:
    before = shell.task
    try:
        for number, task in enumerate(tasks):
            shell.task = task
            start = len(out.rows)
            with out.item(f"task {task.value_():x}"):
                if command.name not in BY_ARGUMENT or command.name == "set":
                    header(out, task)
                if command.name == "set":
                    from oopsight.shell.commands.set import show_context

                    show_context(shell, task, out)
                else:
                    shell.call(command, rest, " ".join(rest), out)
            for row in out.rows[start:]:
                row.setdefault("pid", pid_or_none(task))
            if number + 1 < len(tasks):
                out.line()
    finally:
        shell.task = before


def pid_or_none(task: Any) -> int | None:
    """Its pid, ``None`` where it cannot be read."""
    try:
        return pid_of(task)
    except readable_errors():
        return None


def _is_command(shell: Shell, word: str) -> bool:
    if word.isdecimal() or word in _STATES or word.startswith("'"):
        return False
    return shell.command(word) is not None or word in shell.aliases


def _chosen(shell: Shell, task: Any, choosers: list[str]) -> bool:
    """Kinds and states narrow down; pids, addresses and names add."""
    try:
        kinds = [c for c in choosers if c in ("kernel", "user", "gleader", "active")]
        states = [c for c in choosers if c in _STATES]
        named = [c for c in choosers if c not in kinds and c not in states]
        if "kernel" in kinds and not is_kernel_thread(task):
            return False
        if "user" in kinds and is_kernel_thread(task):
            return False
        if "gleader" in kinds and pid_of(task) != int(task.tgid.value_()):
            return False
        if "active" in kinds and task.value_() not in _active(shell):
            return False
        if states and state_of(task) not in states:
            return False
        return not named or any(_matches(task, word) for word in named)
    except readable_errors():
        return not choosers


def _active(shell: Shell) -> set[int]:
    if "active" not in shell.cache:
        shell.cache["active"] = {t.value_() for t in current_tasks(shell.prog).values()}
    found: set[int] = shell.cache["active"]
    return found


def _matches(task: Any, word: str) -> bool:
    if word.startswith("'"):
        return re.search(word.strip("'"), comm_of(task)) is not None
    if word.isdecimal():
        return pid_of(task) == int(word)
    if re.fullmatch(r"(0x)?f[0-9a-f]{15}", word):
        return bool(task.value_() == int(word, 16))
    return comm_of(task) == word.removeprefix("\\")


def drgn_code(shell: Shell, args: Args) -> str:
    """The command's own code in a loop over tasks."""
    choosers, words = _split(shell, list(args.rest))
    command = shell.command(shell.aliases.get(words[0], words[0])) if words else None
    if command is None:
        raise UsageError("there is drgn code only for a command over tasks")
    conditions = {
        "kernel": "not task.flags & 0x200000 and task.pid",
        "user": "task.flags & 0x200000 or not task.pid",
        "gleader": "task.pid != task.tgid",
    }
    letters = {"RU": "R", "IN": "S", "UN": "D", "ST": "T", "TR": "t", "ZO": "Z", "ID": "I"}
    left_out = [conditions[word] for word in choosers if word in conditions]
    states = [letters[word] for word in choosers if word in letters]
    pids = [int(word) for word in choosers if word.isdecimal()]
    if len(left_out) + len(states) + len(pids) < len(choosers):
        raise UsageError("there is drgn code only for pids, states, kernel, user and gleader")
    if states:
        left_out.append(f"task_state_to_char(task) not in {states}")
    if pids:
        left_out.append(f"task.pid.value_() not in {pids}")
    loop = ALL_TASKS + "".join(indented(f"if {text}:\n    continue") + "\n" for text in left_out)
    rest = words[1:]
    return over_tasks(shell, loop, command, command.parse(rest, " ".join(rest)))

"""drgn code for lists of tasks, as ``ps`` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell.code import ALL_TASKS, indented
from oopsight.shell.numbers import hexadecimal

if TYPE_CHECKING:
    from oopsight.shell.arguments import Args

_OF_ONE = {
    "-a": "print(cmdline(task), environ(task))",
    "-r": "print(task.pid.value_(), task_rlimits(task))",
    "-t": """
print(task.pid.value_(), task.start_time.value_(), task.utime.value_(), task.stime.value_())""",
    "-p": """
while task.pid:
    print(task.pid.value_(), task.comm.string_().decode())
    task = task.real_parent""",
}


def listing(args: Args) -> str:
    """A loop over all tasks, of which conditions leave some out."""
    conditions = {
        "-k": "not task.flags & 0x200000 and task.pid",
        "-u": "task.flags & 0x200000 or not task.pid",
        "-G": "task.pid != task.tgid",
        "-I": "not task.pid",
    }
    left_out = [text for flag, text in conditions.items() if args.has(flag)]
    if args.rest:
        left_out.append(_none_of(args.rest))
    skip = "".join(f"    if {text}:\n        continue\n" for text in left_out)
    loop = f"{ALL_TASKS}{skip}"
    if args.has("-S"):
        counted = "    print(task_state_to_char(task))"
        return loop + counted
    body = next((text for flag, text in _OF_ONE.items() if args.has(flag)), None)
    if body is None:
        body = """
parent = task.real_parent.tgid.value_() if task.pid else 0
print(task.pid.value_(), parent, task_cpu(task), hex(task),
      task_state_to_char(task), task_vsize(task), task.comm.string_().decode())"""
    return loop + indented(body)


def _none_of(words: list[str]) -> str:
    """The condition that leaves out all but these."""
    pids = [int(word) for word in words if word.isdecimal()]
    addresses = [a for w in words if not w.isdecimal() and (a := hexadecimal(w) or 0) >> 47]
    names = [word.removeprefix("\\").encode()[:15] for word in words
             if not word.isdecimal() and not (hexadecimal(word) or 0) >> 47]  # fmt: skip
    parts = []
    if pids:
        parts.append(f"task.pid.value_() not in {pids}")
    if addresses:
        parts.append(f"task.value_() not in {[hex(a) for a in addresses]}".replace("'", ""))
    if names:
        parts.append(f"task.comm.string_() not in {names}")
    return " and ".join(parts)

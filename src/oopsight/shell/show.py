"""Pieces of text that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.shell.output import Gap
from oopsight.shell.tasks import basics, comm_of, cpu_of, pid_of

if TYPE_CHECKING:
    from oopsight.shell.output import Out


def task_data(out: Out, task: Any) -> dict[str, Any]:
    """Pid, address, CPU and name of a task; marks where one cannot be read.

    :param task: ``struct task_struct *``
    """
    from oopsight.evidence import Address

    known = basics(task)
    if known is not None:
        where = Address(task.value_())
        return {"pid": known.pid, "task": where, "cpu": known.cpu, "command": known.name}
    return {
        "pid": out.got(lambda: pid_of(task), "pid"),
        "task": Address(task.value_()),
        "cpu": out.got(lambda: cpu_of(task), "cpu"),
        "command": out.got(lambda: comm_of(task), "comm"),
    }


def header_of(data: dict[str, Any]) -> str:
    """The line that stands over a task's part of the output."""
    command = data["command"] if isinstance(data["command"], Gap) else f'"{data["command"]}"'
    pid, cpu = str(data["pid"]), str(data["cpu"])
    return f"PID: {pid:<7}  TASK: {data['task']:x}  CPU: {cpu:<3}  COMMAND: {command}"


def header(out: Out, task: Any) -> dict[str, Any]:
    """Say the line over a task's part, and give what is in it."""
    data = task_data(out, task)
    out.line(header_of(data))
    return data


_TYPES = {
    0o04: "DIR",
    0o02: "CHR",
    0o06: "BLK",
    0o10: "REG",
    0o12: "LNK",
    0o14: "SOCK",
    0o01: "FIFO",
}  # one table


def inode_type(inode: Any) -> str:
    """REG, DIR, CHR, BLK, SOCK, FIFO or LNK of a ``struct inode *``."""
    return _TYPES.get(int(inode.i_mode.value_()) >> 12, "UNKN")

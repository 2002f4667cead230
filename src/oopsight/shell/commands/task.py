"""Display the task_struct and thread_info of tasks.

Examples
    crash> task -R pid,comm
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "task [-R member[,member]] [-dx] [pid | task] ..."
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "task", args.rest, out)

"""Display the virtual memory of tasks.

Examples
    crash> vm 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "vm [-p | -P vma | -M mm | -v | -m | -x | -d] [-R ref] [pid | task] ..."
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "vm", args.rest, out)

"""Display signal handlers and pending signals of tasks.

Examples
    crash> sig 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "sig [[-l] | [-s sigset]] | [-g] [pid | task] ..."
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "sig", args.rest, out)

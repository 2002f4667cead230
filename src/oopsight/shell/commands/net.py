"""Display network devices, sockets and neighbours.

Examples
    crash> net
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "net [[-s | -S] [-xd] [-R ref] [pid | task]] [-n [pid|task]] [-a] [-N addr]"
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "net", args.rest, out)

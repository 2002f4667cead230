"""Search memory for a value or a string.

Examples
    crash> search -k deadbeef
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "search [-s start] [-[kKV]u[p]t] [-e end] [-l length] [-m mask] [-x count] [-cwh] value ..."
)
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "search", args.rest, out)

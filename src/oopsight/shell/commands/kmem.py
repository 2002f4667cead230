"""Display kernel memory: caches, pages, zones, totals.

Examples
    crash> kmem -i
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "kmem [-s] [-i] [-n] [-o] [-v] [-V] [-z] [-g] [-p] [address]"
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "kmem", args.rest, out)

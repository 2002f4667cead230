"""Follow a linked list.

Examples
    crash> list -H modules
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "list [[-o] offset][-e end][-[s|S] struct[.member]][-H] start"
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "list", args.rest, out)

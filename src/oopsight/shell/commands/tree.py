"""Dump a red-black tree, radix tree, XArray or maple tree.

Examples
    crash> tree -t rbtree vmap_area_root
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "tree -t type [-r offset] [-o offset] [-s struct] start"
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "tree", args.rest, out)

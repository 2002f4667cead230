"""Write to memory: refused, since a dump is evidence.

Examples
    crash> wr linux_banner 1
    wr: a dump is not written to; rd reads it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "wr [-u|-k|-p] [-8|-16|-32|-64] [address|symbol] value"
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """Refuse."""
    from oopsight.shell import CommandError

    raise CommandError("a dump is not written to; rd reads it")

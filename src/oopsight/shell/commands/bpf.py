"""Display extended Berkeley Packet Filter programs and maps.

Examples
    crash> bpf -P
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "bpf [[-p ID | -P] [-tTj]] [[-m ID] | -M] [-s] [-xd]"
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "bpf", args.rest, out)

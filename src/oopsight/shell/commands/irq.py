"""Display interrupts: handlers, counts, affinity, soft interrupts, the descriptor table.

Examples
    crash> irq -s
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "irq [[[index ...] | -u] | -d | -b | -a | -s [-c cpus]]"
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "irq", args.rest, out)

"""Leave the prompt.

Examples
    crash> exit
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "exit"
OPTIONS: dict[str, str] = {}


def run(shell: Shell, args: Args, out: Out) -> None:
    """End the session."""
    from oopsight.shell import Exit

    raise Exit

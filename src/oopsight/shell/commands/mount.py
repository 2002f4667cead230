"""Display mounted file systems.

Examples
    crash> mount
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import drgn_crash

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "mount [-f][-i] [-n pid|task] [mount | vfsmount | superblock | devname | dirname | inode]"
)
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """As drgn shows it."""
    drgn_crash.run(shell, "mount", args.rest, out)

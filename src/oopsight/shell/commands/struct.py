"""Show the definition of a struct, or what is in one in memory.

An address is hexadecimal, a symbol or an expression in parentheses; ``:CPUS`` behind a per-CPU
symbol gives that of each CPU. A member that cannot be read is marked in its place.

Examples
The definition with offsets, and one member's:

    crash> struct task_struct -o
    crash> struct file.f_path

Members of an object:

    crash> struct file.f_path,f_flags ffff8ebac286d400

What a member points to, and a number of objects in a row:

    crash> struct task_struct.mm -p ffff8ebac28820c0
    crash> struct list_head ffffffff9561aa40 -c 4
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell import structs

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = structs.synopsis("struct")
OPTIONS = structs.OPTIONS
DRGN = structs.DRGN
drgn_code = structs.drgn_code


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show a definition or objects."""
    structs.show(shell, args, out, "struct")

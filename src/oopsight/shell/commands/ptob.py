"""Translate page numbers to addresses in bytes.

Examples
    crash> ptob 512a
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell.commands.eval import evaluate

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "ptob page_number ..."
OPTIONS: dict[str, str] = {}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Translate each argument."""
    from oopsight.shell import CommandError
    from oopsight.shell.numbers import hexadecimal

    if not args.rest:
        raise CommandError(f"a number is needed; usage: {SYNOPSIS}")
    for word in args.rest:
        number = hexadecimal(word)
        value = evaluate(shell, word) if number is None else number
        out.row(f"{value:x}: {value << 12:x}", page=value, address=value << 12)


def drgn_code(shell: Shell, args: Args) -> str:
    """Arithmetic."""
    del shell
    return "\n".join(f'print(hex(0x{word} << prog["PAGE_SHIFT"].value_()))' for word in args.rest)

"""Demangle a Rust symbol.

Examples
    crash> rustfilt _RNvC7mycrate3foo
    crash> rustfilt _ZN4core3fmt5write17h0123456789abcdefE
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell.rust import demangle

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "rustfilt symbol ..."
OPTIONS: dict[str, str] = {}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Demangle each argument."""
    from oopsight.shell import CommandError

    if not args.rest:
        raise CommandError(f"a symbol is needed; usage: {SYNOPSIS}")
    for word in args.rest:
        name = demangle(word)
        out.row(name or f"{word}: no Rust symbol", symbol=word, name=name)

"""Give a command line a name, or list the names.

Examples
    crash> alias
    crash> alias kp kmem -p
    crash> alias kp ""
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "alias [name] [command string]"
OPTIONS: dict[str, str] = {}
RAW = True


def run(shell: Shell, args: Args, out: Out) -> None:
    """Define, remove or list."""
    from oopsight.shell import CommandError

    if not args.rest:
        _list(shell, out, None)
        return
    name = args.rest[0]
    if len(args.rest) == 1:
        _list(shell, out, name)
        return
    if shell.command(name) is not None:
        raise CommandError(f"{name} is a command, and cannot be an alias")
    text = args.raw.partition(name)[2].strip()
    if text in ('""', "''"):
        shell.aliases.pop(name, None)
        shell.user_aliases.discard(name)
        return
    if text[:1] == text[-1:] == '"':
        text = text[1:-1]
    shell.aliases[name] = text
    shell.user_aliases.add(name)


def _list(shell: Shell, out: Out, only: str | None) -> None:
    out.line(f"{'ORIGIN':<8} {'ALIAS':<8} COMMAND")
    for name, text in shell.aliases.items():
        if only in (None, name):
            origin = "runtime" if name in shell.user_aliases else "builtin"
            out.row(f"{origin:<8} {name:<8} {text}", origin=origin, alias=name, command=text)

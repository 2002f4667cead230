"""Describe a command, with examples; without one, list all.

Examples
All commands; one with its options and examples; the input line's own rules:

    crash> help
    crash> help bt
    crash> help input
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out
    from oopsight.shell.registry import Command

SYNOPSIS = "help [command | all | input | output] ..."
OPTIONS: dict[str, str] = {}
_COLUMNS = 5
_INPUT = """\
A line is a command and its arguments. Words are separated by spaces; double quotes and parentheses
keep spaces. Numbers that are addresses are hexadecimal, counts and pids decimal.

    command | shell command    the output goes through a program
    command > file, >> file    the output goes to a file
    < file                     the commands of a file, a line each
    ! shell command            a shell command
    # text                     a comment

A struct's name alone is a command: `task_struct.pid ADDRESS`. Ctrl-C ends a command and keeps the
session. repeat, alias, set and extend change the session; ~/.crashrc is read at the start, the one
in the current folder only with --crashrc."""
_OUTPUT = """\
On a terminal long output goes through a pager (set scroll off turns it off). What could not be read
stands as <unreadable ADDRESS> in its place, and the last line counts it. --json gives the rows of
a table as JSON; --drgn shows the drgn code that gives the same, --why the answer and the code."""


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show help."""
    if not args.rest:
        _overview(shell, out)
        return
    names = shell.command_names() if args.rest == ["all"] else args.rest
    for number, name in enumerate(names):
        if number:
            out.line()
        if name in ("input", "output"):
            out.lines(_INPUT if name == "input" else _OUTPUT)
            continue
        word = shell.aliases.get(name, name).split()[0]
        command = shell.command(word)
        if command is None:
            out.line(f"help: no command {name!r}; help lists all")
            continue
        if word != name:
            out.line(f"{name} is an alias of: {shell.aliases[name]}\n")
        show(command, out)


def show(command: Command, out: Out) -> None:
    """A command's page."""
    synopsis = command.synopsis.replace("\n", "\n  ")
    out.line(f"NAME\n  {command.name} - {command.summary}\n\nSYNOPSIS\n  {synopsis}\n\nDESCRIPTION")
    for line in command.explanation.splitlines():
        out.line(f"  {line}".rstrip())
    options = command.options
    if options:
        width = max(len(option.shown) for option in options.values())
        out.line()
        for option in options.values():
            out.line(f"  {option.shown:<{width}}  {option.text}")
    out.line("\nEXAMPLES")
    for line in command.examples.splitlines():
        out.line(f"  {line}".rstrip())
    out.row(None, name=command.name, summary=command.summary, synopsis=command.synopsis)


def _overview(shell: Shell, out: Out) -> None:
    names = shell.command_names()
    rows = -(-len(names) // _COLUMNS)
    out.line()
    for row in range(rows):
        out.line("".join(f"{name:<15}" for name in names[row::rows]).rstrip())
    from oopsight import __version__

    out.line(f"\noopsight version: {__version__}")
    out.line('For help on any command above, enter "help <command>".')
    out.line('For help on input options, enter "help input".')
    out.line('For help on output options, enter "help output".')

"""drgn's own crash commands: the one file that imports that private package.

A command of drgn's prints, and ends at the first page that is missing. What it printed until then
is kept, and the page is named.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shlex
from typing import TYPE_CHECKING

from oopsight.errors import UsageError
from oopsight.shell.output import gap_from, readable_errors

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.output import Out


def run(shell: Shell, name: str, words: list[str], out: Out) -> list[str]:
    """Run a command of drgn's crash mode for the current task.

    :param words: its arguments; each is quoted, so that none reaches a shell
    :return: the lines it printed
    :raises UsageError: if drgn does not know the arguments
    """
    import drgn.commands._crash  # noqa: F401  # registers the commands
    from drgn.commands import CommandArgumentError, CommandError
    from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE

    prog = shell.prog
    prog.config["crash_scroll"] = False
    prog.config["crash_context"] = shell.task
    prog.config["crash_radix"] = shell.settings.radix
    printed = io.StringIO()
    errors = io.StringIO()
    problem: Exception | None = None
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
            CRASH_COMMAND_NAMESPACE.run(prog, shlex.join([name, *words]), globals={})
    except (CommandArgumentError, argparse.ArgumentError) as error:
        raise UsageError(" ".join((errors.getvalue() or str(error)).split())) from None
    except CommandError as error:
        raise UsageError(str(error)) from None
    except readable_errors() as error:
        problem = error
    lines = [_safe(line) for line in printed.getvalue().splitlines()]
    for line in lines:
        out.row(line, text=line)
    if problem is not None:
        gap = out.count(gap_from(problem, name))
        out.line(f"{gap}: {name} could not go on: {gap.why}")
    return lines


def _safe(line: str) -> str:
    from oopsight.text import printable

    return printable(line.expandtabs(), limit=1 << 20)

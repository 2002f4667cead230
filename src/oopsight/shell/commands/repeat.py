"""Repeat a command, which is of use on a live system; on a dump as often as a number says.

Examples
    crash> repeat 2 p jiffies
    crash> repeat -1 ps -S
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "repeat [-seconds] [count] command"
OPTIONS: dict[str, str] = {}
RAW = True
MOST = 10_000


def run(shell: Shell, args: Args, out: Out) -> None:
    """Repeat until the count or Ctrl-C; a dump does not change, so that once is the default."""
    from oopsight.shell import CommandError

    text = args.raw
    wait = 0.0
    match = re.match(r"-(\d+(?:\.\d+)?)\s+", text)
    if match:
        wait, text = float(match.group(1)), text[match.end() :]
    count = 1
    match = re.match(r"(\d+)\s+", text)
    if match:
        count, text = int(match.group(1)), text[match.end() :]
    if not text.strip():
        raise CommandError(f"a command is needed; usage: {SYNOPSIS}")
    if text.split()[0] == "repeat":
        raise CommandError("repeat cannot repeat itself")
    for number in range(min(count, MOST)):
        if number and wait:
            time.sleep(wait)
        problem = shell.execute(text, out.write)
        if problem:
            raise CommandError(problem)

"""Look into a dump at a prompt with the crash utility's commands, and some that explain.

Commands are read from the terminal, from -c, from -i, or from stdin. ~/.crashrc is read first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from oopsight.cli import _session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    _session.add_arguments(parser)
    parser.add_argument("-c", metavar="COMMANDS", dest="commands", help="run these, separated by ;")
    parser.add_argument("-i", metavar="FILE", dest="input", type=Path, help="run a file's commands")
    parser.add_argument("-s", dest="silent", action="store_true", help="without the banner")
    parser.add_argument(
        "--crashrc",
        action="store_true",
        help="run the current folder's .crashrc too: trust it first",
    )
    parser.add_argument("--no-crashrc", action="store_true", help="do not run ~/.crashrc")


def run(args: argparse.Namespace) -> int:
    """Open the dump and run the prompt."""
    session = _session.open_from(args)
    from oopsight.shell import Shell
    from oopsight.shell.prompt import Prompt

    prompt = Prompt(Shell(session), silent=args.silent)
    if not args.no_crashrc:
        prompt.run_crashrc(here=args.crashrc)
    if args.input is not None:
        prompt.run_file(args.input)
    if args.commands is not None:
        prompt.run_commands(args.commands)
    elif args.input is None or prompt.interactive:
        prompt.loop()
    return 1 if prompt.failed and not prompt.interactive else 0

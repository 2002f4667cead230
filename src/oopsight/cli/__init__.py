"""The ``oopsight`` command: one file per sub-command in this folder, found by its name.

A sub-command's file holds

* a module docstring, whose first line is the help,
* ``configure(parser)``, which adds the arguments, and
* ``run(args) -> int``, which does the work and returns the exit code.

Only the sub-command that is asked for is imported; importing one must cost next to nothing, so what
it needs is imported inside ``run``.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from oopsight import __version__
from oopsight.cli import _guard
from oopsight.errors import OopsightError
from oopsight.text import printable

INTERRUPTED = 130
BROKEN_PIPE = 141
DEFECT = 70


def commands() -> list[str]:
    """Names of the sub-commands, which are the names of this folder's modules, sorted."""
    return sorted(
        info.name.replace("_", "-")
        for info in pkgutil.iter_modules(__path__)
        if not info.name.startswith("_")
    )


def _formatter(prog: str) -> argparse.HelpFormatter:
    """As argparse makes one for each argument, but without ``shutil``, whose import costs 2 ms."""
    columns = os.environ.get("COLUMNS", "")
    try:
        width = int(columns or 0) or os.get_terminal_size().columns or 80
    except (OSError, ValueError):
        width = 80
    return argparse.RawDescriptionHelpFormatter(prog, width=width - 2)


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    names = commands()
    wanted = argv[0] if argv and argv[0] in names else None
    parser = argparse.ArgumentParser(
        prog="oopsight",
        description="Says why a Linux machine went down, from its kernel crash dump.",
        epilog="'oopsight VMCORE' is short for 'oopsight analyze VMCORE'.",
        formatter_class=_formatter,
    )
    parser.add_argument("--version", action="version", version=f"oopsight {__version__}")
    # Without "prog" the usage is laid out to find it.
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, prog="oopsight"
    )
    for name in [wanted] if wanted else names:
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
        doc = (module.__doc__ or "").strip()
        sub = subparsers.add_parser(
            name,
            help=doc.splitlines()[0],
            description=doc,
            formatter_class=_formatter,
        )
        module.configure(sub)
        sub.set_defaults(run=module.run)
    return parser


def _looks_like_a_file(word: str) -> bool:
    if word.startswith("-"):
        return False
    return os.path.lexists(word) or os.sep in word or "." in word


def _one_line(error: Exception) -> str:
    # The message may quote the dump, a kernel release for one.
    return printable(" ".join(str(error).split()))


def process() -> NoReturn:
    """Run the command line of this process, and end it."""
    # A command makes few cycles and ends soon. Going through all its objects every 700 new ones
    # takes a tenth of its time.
    gc.set_threshold(100_000)
    try:
        code = main()
    except SystemExit as wanted:  # from argparse, with what it says already said
        code = wanted.code if isinstance(wanted.code, int) else 0
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):  # closed, or never open
            stream.flush()
    # Nothing is left to be written or removed, and to take a hundred thousand objects apart costs
    # 40 ms that somebody waits for.
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    :param argv: the arguments without the program's name; those of the process if ``None``
    :return: the exit code, see :mod:`oopsight.errors`
    """
    own_process = argv is None
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0] not in commands() and _looks_like_a_file(argv[0]):
        # A file is what the engineer on call has at hand: analyse it.
        argv.insert(0, "analyze")
    try:
        args = _parser(argv).parse_args(argv)
        args.own_process = own_process
        if own_process and _guard.is_needed(args):
            return _guard.run_apart(argv, args.vmcore)
        code = args.run(args)
        sys.stdout.flush()
        return int(code)
    except OopsightError as error:
        print(f"oopsight: {_one_line(error)}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("oopsight: interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`oopsight ... | head`); stdout must not be flushed again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if os.environ.get("OOPSIGHT_DEBUG"):
            raise
        print(  # noqa: T201
            f"oopsight: internal error, {type(error).__name__}: {_one_line(error)}; "
            "please report it with the traceback that OOPSIGHT_DEBUG=1 shows",
            file=sys.stderr,
        )
        return DEFECT

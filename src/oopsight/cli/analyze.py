"""Say why the machine went down, from its kernel crash dump."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from oopsight.cli import _session
from oopsight.errors import OutputError, SymbolError
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    _session.add_arguments(parser)
    parser.add_argument(
        "--format",
        choices=("terminal", "json", "markdown"),
        default="terminal",
        help="of the report",
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="instead of stdout")


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole, or leave it as it was."""
    import tempfile

    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
        ) as file:
            temporary = file.name
            file.write(text)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise OutputError(f"{path}: {error.strerror or error}; nothing was written") from None


def _import_what_comes_next(enough: Callable[[], bool]) -> None:
    """Done on a second processor, while drgn reads debug information."""
    with contextlib.suppress(Exception):  # whoever needs it will meet the same
        from oopsight import report

        report.import_rules(enough)


def _report(args: argparse.Namespace) -> Report:
    from oopsight.session import NoSymbolsError

    opened = threading.Event()
    imports = threading.Thread(target=_import_what_comes_next, args=(opened.is_set,), daemon=True)
    try:
        session = _session.open_from(args, watch=lambda *_: imports.start())
    except NoSymbolsError as error:
        from oopsight.report.from_log import analyze_log

        try:
            report = analyze_log(error)
        except SymbolError as no_log:
            raise SymbolError(f"{error}; nor can the log be read: {no_log}") from None
        sys.stderr.write(f"oopsight: {printable(error.summary)}\n")
        return report
    from oopsight.report import analyze

    opened.set()
    imports.join()
    return analyze(session, alone=args.own_process)


def run(args: argparse.Namespace) -> int:
    """Analyse the dump and write the report."""
    report = _report(args)
    if args.output and args.output.exists() and args.output.samefile(args.vmcore):
        raise OutputError(f"{args.output} is the dump itself; name another file")
    out = io.StringIO() if args.output else sys.stdout
    if args.format == "json":
        from oopsight.report.to_json import to_json

        out.write(to_json(report))
    elif args.format == "markdown":
        from oopsight.report.to_markdown import to_markdown

        out.write(to_markdown(report))
    else:
        from oopsight.report.to_terminal import to_terminal

        to_terminal(report, out)
    if isinstance(out, io.StringIO):
        _write(args.output, out.getvalue())
    return 0

"""Write a small dump with only what an analysis reads, to attach to a bug report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from oopsight.cli import _session
from oopsight.errors import OutputError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    _session.add_arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    parser.add_argument(
        "--also",
        metavar="CMD",
        action="append",
        default=[],
        help="keep what this command of the prompt reads, too; may be given more than once",
    )
    parser.add_argument(
        "--scrub",
        action="store_true",
        help="overwrite the host's name, command lines, environments, mail and network addresses",
    )
    parser.add_argument(
        "--with-symbols",
        action="store_true",
        help="keep the kernel's own symbols and types, so that no debug package is needed",
    )


def run(args: argparse.Namespace) -> int:
    """Analyse the dump, keep what was read, and write it."""
    if args.output.exists() and Path(args.vmcore).exists() and args.output.samefile(args.vmcore):
        raise OutputError(f"{args.output} is the dump itself; name another file")
    from oopsight.minicore import keep_own_symbols, record, write

    session, recorder, failed = record(
        lambda recorder: _session.open_from(args, recorder.watch), args.also
    )
    if args.with_symbols:
        keep_own_symbols(session)
    summary = write(session, recorder, args.output, private=args.scrub)
    for reason in failed:
        print(f"oopsight: not kept: {reason}", file=sys.stderr)  # noqa: T201
    scrubbed = f", {summary.scrubbed} texts overwritten" if args.scrub else ""
    print(  # noqa: T201
        f"{args.output}: {summary.bytes / (1 << 20):.1f} MiB, {summary.pages} pages, "
        f"{summary.left_out} of programs or files left out{scrubbed}",
        file=sys.stderr,
    )
    return 1 if failed else 0

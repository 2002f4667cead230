"""Read every pointer of a report's proof again from the dump; fail where one does not hold."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from oopsight.cli import _session
from oopsight.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("report", metavar="REPORT.json", type=Path, help="made by analyze")
    _session.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Verify; one line on success."""
    from oopsight.report.verify import verify

    try:
        report = json.loads(args.report.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{args.report}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{args.report} is no JSON report: {error}") from None
    if not isinstance(report, dict):
        raise UsageError(f"{args.report} is no report of 'oopsight analyze --format json'")
    count = verify(report, _session.open_from(args))
    sys.stdout.write(f"all {count} pointers hold on {args.vmcore}\n")
    return 0

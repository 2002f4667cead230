"""Say what brought this machine down last, from dumps, pstore and the journal."""

from __future__ import annotations

import argparse
import sys

from oopsight.errors import OopsightError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--root", default="/", metavar="DIR", help="another host's file tree")


def run(args: argparse.Namespace) -> int:
    """Tell it; 0 if the shutdown was orderly, 1 if not, 3 if no record tells."""
    from oopsight.kdump import commandline
    from oopsight.kdump.errors import KdumpError

    try:
        return commandline.run_last(args.root, sys.stdout)
    except KdumpError as error:
        translated = OopsightError(str(error))
        translated.exit_code = error.exit_code
        raise translated from error

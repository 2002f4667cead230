"""Make sure that a crash leaves a dump: check, set up, undo, test."""

from __future__ import annotations

import argparse
import sys

from oopsight.errors import OopsightError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add kdump's own tree of arguments."""
    from oopsight.kdump import commandline

    commandline.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Run it, and pass its errors on in the form of the other commands."""
    from oopsight.kdump import commandline
    from oopsight.kdump.errors import KdumpError

    try:
        return commandline.run(args, sys.stdout)
    except KdumpError as error:
        translated = OopsightError(str(error))
        translated.exit_code = error.exit_code
        raise translated from error

"""kdump alone: what the zipapp ``oopsight-kdump.pyz`` runs."""

from __future__ import annotations

import argparse
import sys

from oopsight.kdump import commandline
from oopsight.kdump.errors import KdumpError


def main() -> int:
    """Run the process's command line: kdump's actions, and ``last``."""
    parser = argparse.ArgumentParser(
        prog="oopsight-kdump", description="Makes sure that a kernel crash leaves a dump."
    )
    actions = commandline.configure(parser)
    last = actions.add_parser("last", help="what brought this machine down last")
    last.add_argument("--root", default="/", metavar="DIR", help="another host's file tree")
    try:
        args = parser.parse_args()
        if args.action == "last":
            return commandline.run_last(args.root, sys.stdout)
        return commandline.run(args, sys.stdout)
    except KdumpError as error:
        sys.stderr.write(f"oopsight-kdump: {' '.join(str(error).split())}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())

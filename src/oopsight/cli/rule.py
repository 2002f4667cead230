"""Show what a rule finds, how it decides, and when it is wrong."""

from __future__ import annotations

import argparse
import sys

from oopsight.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", nargs="?", help="the rule; all are listed without")


def run(args: argparse.Namespace) -> int:
    """Print a rule's documentation, which is its file's docstring."""
    from oopsight.diagnosis import rule_modules

    docs = {m.__name__.rpartition(".")[2]: (m.__doc__ or "").strip() for m in rule_modules()}
    if args.name is None:
        for name, doc in docs.items():
            sys.stdout.write(f"{name:30} {doc.splitlines()[0]}\n")
        return 0
    if args.name not in docs:
        raise UsageError(f"no rule is called {args.name!r}; 'oopsight rule' lists them")
    sys.stdout.write(f"{args.name}: {docs[args.name]}\n")
    return 0

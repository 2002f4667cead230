#!/usr/bin/env python3
"""The lab's command line: see ``lab.py --help``."""

from __future__ import annotations

import argparse
import sys
import time

from oopslab import LabError, LabUnavailable, ensure, kernels, scenarios
from oopslab.capture import CAPTURES
from oopslab.demo import demo
from oopslab.kernel import SERIES, fetch, kernel
from oopslab.make import directory
from oopslab.scenario import load


def _list(_: argparse.Namespace) -> int:
    for name in scenarios():
        settings = load(name).settings
        print(f"{name:24} {' '.join(settings.kernels):18} {settings.summary}")
    return 0


def _kernels(_: argparse.Namespace) -> int:
    found = kernels()
    for series, suites in SERIES.items():
        print(f"{series:6} {found.get(series, 'not offered now'):28} {' or '.join(suites)}")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    chosen = fetch(kernel(args.kernel))
    print(chosen.directory, chosen.vmlinux, sep="\n")
    return 0


def _make(args: argparse.Namespace) -> int:
    dump = ensure(args.scenario, args.kernel, args.capture, rename=args.rename, force=args.force)
    print(dump.directory)
    return 0


def _make_all(args: argparse.Namespace) -> int:
    """Make what is missing; a scenario's failure does not stop the others."""
    failed = 0
    for name in scenarios():
        for series in args.kernel or load(name).settings.kernels:
            started = time.monotonic()
            try:
                dump = ensure(name, series, args.capture, rename=args.rename, force=args.force)
            except LabUnavailable as error:
                print(f"skipped {name} {series}: {error}", file=sys.stderr)
            except LabError as error:
                failed += 1
                print(f"FAILED {name} {series}: {error}", file=sys.stderr)
            else:
                print(f"{time.monotonic() - started:6.1f} s {dump.directory}", flush=True)
    return 1 if failed else 0


def _path(args: argparse.Namespace) -> int:
    print(directory(args.scenario, args.kernel, args.capture, args.rename))
    return 0


def _demo(args: argparse.Namespace) -> int:
    return demo(args.oopsight)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Crashes real Debian kernels in QEMU on purpose.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    def add_dump_options(command: argparse.ArgumentParser) -> None:
        command.add_argument("--capture", choices=CAPTURES, default="qmp")
        command.add_argument("--rename", metavar="SEED", help="names drawn at random")

    add("list", _list, "list the scenarios")
    add("kernels", _kernels, "list the kernels that Debian offers now")
    command = add("fetch", _fetch, "download and unpack a kernel and its debug symbols")
    command.add_argument("--kernel", choices=SERIES, default="6.1")
    for name, run, text in (
        ("make", _make, "make a dump unless it is in the cache, and print its folder"),
        ("path", _path, "print where a dump is or would be"),
    ):
        command = add(name, run, text)
        command.add_argument("scenario")
        command.add_argument("--kernel", choices=SERIES, default="6.1")
        add_dump_options(command)
        if run is _make:
            command.add_argument("--force", action="store_true", help="make it again")
    command = add("make-all", _make_all, "make the dumps of all scenarios")
    command.add_argument("--kernel", choices=SERIES, action="append", help="instead of all known")
    add_dump_options(command)
    command.add_argument("--force", action="store_true", help="make them again")
    command = add("demo", _demo, "crash a kernel with the incident through kdump and analyse it")
    command.add_argument("--oopsight", required=True, metavar="PATH", help="the program to show")
    return parser


def main() -> int:
    """Run one sub-command; trouble is one message on stderr and a status of 1, or 7 if lacking."""
    args = _parser().parse_args()
    try:
        status: int = args.run(args)
    except LabUnavailable as error:
        print(f"lab: {error}", file=sys.stderr)
        return 7
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())

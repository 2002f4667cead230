"""The arguments by which sub-commands open a dump."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drgn import Program

    from oopsight.dump import DumpInfo
    from oopsight.session import Session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the dump and the places to look for its symbols."""
    parser.add_argument("vmcore", metavar="VMCORE", help="the kernel crash dump")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--vmlinux", metavar="FILE", type=Path, help="use this file's symbols")
    given.add_argument(
        "--symbols",
        metavar="auto|dump|FILE",
        default="auto",
        help="auto: a debug package if there is one, else what the dump itself holds; "
        "dump: only that; FILE: a vmlinux or symbol pack",
    )
    parser.add_argument(
        "--debug-dir",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="look for debug packages here first; may be given more than once",
    )
    parser.add_argument(
        "--source", metavar="DIR", type=Path, help="kernel source, to show the lines at the fault"
    )


def open_from(
    args: argparse.Namespace, watch: Callable[[Program, DumpInfo], None] | None = None
) -> Session:
    """Open the dump that the arguments name.

    :param watch: given the program before anything is read from the dump
    """
    from oopsight.session import open_session

    vmlinux = args.vmlinux
    if args.symbols not in ("auto", "dump"):
        vmlinux = Path(args.symbols)
    with _patience(f"reading {args.vmcore} and its symbols"):
        return open_session(
            args.vmcore,
            vmlinux=vmlinux,
            debug_directories=tuple(args.debug_dir),
            source_tree=args.source,
            own_symbols=args.symbols == "dump",
            watch=watch,
        )


@contextlib.contextmanager
def _patience(work: str) -> Iterator[None]:
    """Say what is going on where it takes over a second and somebody watches."""
    timer = threading.Timer(1.0, lambda: print(f"oopsight: {work} ...", file=sys.stderr))  # noqa: T201
    if sys.stderr.isatty():
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        timer.cancel()

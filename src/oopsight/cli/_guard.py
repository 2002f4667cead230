"""A process of its own for a dump that is cut off.

The library that reads compressed dumps maps the file. Where a dump is cut off, a page that its own
table places behind the end of the file ends the process with SIGBUS, which Python cannot catch.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from oopsight.errors import DamagedDumpError, OopsightError

GUARDED = "OOPSIGHT_GUARDED"


def is_needed(args: argparse.Namespace) -> bool:
    """Whether the command line opens a dump that is not whole."""
    path = getattr(args, "vmcore", None)
    if path is None or os.environ.get(GUARDED):
        return False
    from oopsight.dump import identify

    try:
        return not identify(path).complete
    except OopsightError:
        return False  # the command itself will say so


def run_apart(argv: Sequence[str], vmcore: str) -> int:
    """Carry out a command line in a process of its own.

    :return: its exit code
    :raises DamagedDumpError: if the process died of reading behind the dump's end
    """
    import signal
    import subprocess

    # Ctrl-C is for the other process, which has the terminal too. A handler, unlike SIG_IGN, is
    # not inherited.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "oopsight", *argv],
            env={**os.environ, GUARDED: "1"},
            check=False,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    if done.returncode == -signal.SIGBUS:
        raise DamagedDumpError(
            f"{vmcore}: it is cut off, and what is needed lies behind its end; copy the dump "
            "again, or read its log with makedumpfile --dump-dmesg and oopsight oops"
        )
    return done.returncode if done.returncode >= 0 else 128 - done.returncode

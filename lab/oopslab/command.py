"""Running other programs: bounded in time, their output kept for the error message."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from oopslab.errors import LabError, LabUnavailable

# Where Debian keeps administrators' programs, which a user's PATH may lack.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def tool(name: str) -> Path:
    """Path of the program *name*; LabUnavailable where it is not installed."""
    path = os.environ.get("PATH", os.defpath)
    found = shutil.which(name, path=os.pathsep.join([path, *_SBIN]))
    if found is None:
        raise LabUnavailable(f"{name} is not installed: run lab/install-tools")
    return Path(found)


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    timeout: float = 300,
) -> str:
    """Run a program to its end and return what it wrote on stdout and stderr.

    :raises LabError: it failed or took over *timeout* seconds; with its last lines.
    """
    program = tool(str(argv[0])) if "/" not in str(argv[0]) else Path(argv[0])
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{program.name}: not finished after {timeout:.0f} s") from error
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        tail = "\n".join(text.splitlines()[-15:])
        raise LabError(f"{program.name} failed ({done.returncode}): {tail}")
    return text

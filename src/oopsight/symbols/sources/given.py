"""The vmlinux that the user named with ``--vmlinux``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oopsight.symbols import Wanted

ORDER = 10
DECISIVE = True


def unavailable(wanted: Wanted) -> str | None:
    """Nothing was given."""
    return None if wanted.vmlinux else "no --vmlinux was given"


def candidates(wanted: Wanted) -> Iterator[Path]:
    """Yield the file given."""
    if wanted.vmlinux:
        yield wanted.vmlinux


def searched(wanted: Wanted) -> str:
    """Name the file given."""
    return str(wanted.vmlinux)

"""The vmlinux or symbol pack that the user named with ``--vmlinux`` or ``--symbols``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oopsight.symbols import Wanted
from oopsight.symbols.compressed import readable

ORDER = 10
DECISIVE = True


def unavailable(wanted: Wanted) -> str | None:
    """Nothing was given."""
    return None if wanted.vmlinux else "no --vmlinux was given"


def candidates(wanted: Wanted) -> Iterator[Path]:
    """Yield the file given.

    :raises SymbolError: if it is a compressed pack that is damaged
    """
    if wanted.vmlinux:
        yield readable(wanted.vmlinux)


def searched(wanted: Wanted) -> str:
    """Name the file given."""
    return str(wanted.vmlinux)

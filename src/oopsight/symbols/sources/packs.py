"""Symbol packs made before, by build ID in the user's cache (:mod:`oopsight.symbols.cache`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oopsight.symbols import Wanted, cache

ORDER = 30
DECISIVE = False
OWN = True
SEALED = True
"""What bears no seal is no pack, whatever its name and build ID say."""


def unavailable(wanted: Wanted) -> str | None:
    """Packs go by build ID."""
    return None if wanted.build_id else "the dump has no build ID"


def candidates(wanted: Wanted) -> Iterator[Path]:
    """Yield the pack of the build."""
    path = cache.path_of(wanted.build_id or "")
    if path is not None and path.is_file():
        cache.touch(path)
        yield path


def searched(wanted: Wanted) -> str:  # noqa: ARG001  # every source has this signature
    """Name the directory."""
    return str(cache.directory())

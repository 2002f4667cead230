"""Symbol packs made before, by build ID in the user's cache (:mod:`oopsight.symbols.cache`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from oopsight.errors import SymbolError
from oopsight.symbols import Wanted, cache, compressed

ORDER = 30
DECISIVE = False
OWN = True
SEALED = True
"""What bears no seal is no pack, whatever its name and build ID say."""


def unavailable(wanted: Wanted) -> str | None:
    """Packs go by build ID."""
    return None if wanted.build_id else "the dump has no build ID"


def candidates(wanted: Wanted) -> Iterator[Path]:
    """Yield the packs of the build, the one that tells more first."""
    # Of a dump's own symbols alone, where those are asked for.
    for lines in (False,) if wanted.own else (True, False):
        path = cache.path_of(wanted.build_id or "", lines=lines)
        if path is None:
            continue
        if not path.is_file():
            yield from _unpacked(path, str(wanted.build_id), lines=lines)
        else:
            cache.touch(path)
            yield path


def _unpacked(path: Path, build_id: str, *, lines: bool) -> Iterator[Path]:
    """Yield a pack that was put there compressed; from then on it is there as it is read."""
    packed = path.with_name(path.name + compressed.SUFFIX)
    if not packed.is_file():
        return
    try:
        image = compressed.contents(packed)
    except SymbolError:
        # What cannot be used is told as such.
        yield packed
        return
    try:
        kept = cache.store(build_id, image, lines=lines)
    except OSError:
        yield compressed.in_memory(image)
        return
    with contextlib.suppress(OSError):
        packed.unlink()
    yield kept


def searched(wanted: Wanted) -> str:  # noqa: ARG001  # every source has this signature
    """Name the directory."""
    return str(cache.directory())

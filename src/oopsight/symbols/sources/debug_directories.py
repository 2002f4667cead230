"""Installed or unpacked debug packages: ``--debug-dir``, then the system's own directories.

By build ID first (``.build-id/xx/yyyy.debug``), then by the places where distributions and kernel
trees put a vmlinux. ``--debug-dir`` may also be the root of an unpacked package.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oopsight.symbols import Wanted

ORDER = 20
DECISIVE = False

SYSTEM = Path("/usr/lib/debug")
# Relative to a debug directory; {release} is uname -r.
_PLACES = (
    "boot/vmlinux-{release}",
    "boot/vmlinux-{release}.debug",
    "lib/modules/{release}/vmlinux",
    "lib/modules/{release}/vmlinux.debug",
    "usr/lib/modules/{release}/vmlinux.debug",
    "vmlinux-{release}",
    "vmlinux",
)
_OUTSIDE = ("/lib/modules/{release}/build/vmlinux", "/boot/vmlinux-{release}")


def roots(wanted: Wanted) -> list[Path]:
    """Debug directories to search, the user's first; of each also its own ``usr/lib/debug``."""
    result = []
    for directory in (*wanted.debug_directories, SYSTEM):
        nested = directory / "usr/lib/debug"
        if directory != SYSTEM and nested.is_dir():
            result.append(nested)
        result.append(directory)
    return result


def unavailable(wanted: Wanted) -> str | None:
    """Without a build ID or release there is no name to look for."""
    if wanted.build_id or wanted.release:
        return None
    return "the dump tells neither build ID nor release"


def candidates(wanted: Wanted) -> Iterator[Path]:
    """Yield existing files by build ID, then by release."""
    seen = set()
    for path in _names(wanted):
        if path not in seen and path.is_file():
            seen.add(path)
            yield path


def _names(wanted: Wanted) -> Iterator[Path]:
    directories = roots(wanted)
    if wanted.build_id:
        for directory in directories:
            yield directory / ".build-id" / wanted.build_id[:2] / f"{wanted.build_id[2:]}.debug"
    # A release comes from the dump and becomes part of a path.
    if wanted.release and "/" not in wanted.release:
        for directory in directories:
            for place in _PLACES:
                yield directory / place.format(release=wanted.release)
        for place in _OUTSIDE:
            yield Path(place.format(release=wanted.release))


def searched(wanted: Wanted) -> str:
    """Name the directories."""
    return ", ".join(str(directory) for directory in roots(wanted))

"""Symbol packs on disk, by build ID: ``$XDG_CACHE_HOME/oopsight/packs``.

A pack appears under its name all at once, so that two processes which make the same one do not
disturb each other. What was used longest ago goes when the packs take too much room.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from oopsight.cheap import dataclass
from oopsight.symbols import compressed

SUFFIX = ".pack"
LINES = ".lines"
"""Before the suffix: of a pack made of a vmlinux, with source lines and inlined calls."""
MOST_BYTES = 1 << 30
"""A pack takes 12 to 50 MB."""
_BUILD_ID = re.compile(r"[0-9a-f]{8,128}")


@dataclass(frozen=True)
class CachedPack:
    """A file in the cache."""

    path: Path
    size: int
    used: float
    """When it was made or last used, seconds since the epoch."""

    @property
    def build_id(self) -> str:
        """Of the kernel or module that it belongs to."""
        name = self.path.name.removesuffix(compressed.SUFFIX)
        return name.removesuffix(SUFFIX).removesuffix(LINES)

    @property
    def lines(self) -> bool:
        """Whether it is one made of a vmlinux."""
        return f"{LINES}{SUFFIX}" in self.path.name


def directory() -> Path:
    """Where the packs are."""
    base = os.environ.get("XDG_CACHE_HOME")
    # The specification wants a relative path to be ignored.
    root = Path(base) if base and base.startswith("/") else Path.home() / ".cache"
    return root / "oopsight" / "packs"


def path_of(build_id: str, *, lines: bool = False) -> Path | None:
    """Where the pack of a build is or would be; ``None`` for what is no build ID.

    A build ID comes from the dump and becomes a file's name.
    """
    if not _BUILD_ID.fullmatch(build_id):
        return None
    return directory() / name_of(build_id, lines=lines)


def name_of(build_id: str, *, lines: bool = False) -> str:
    """Name of a pack's file."""
    return f"{build_id}{LINES if lines else ''}{SUFFIX}"


def packs() -> list[CachedPack]:
    """All packs, the one used longest ago first."""
    found = []
    with contextlib.suppress(OSError), os.scandir(directory()) as entries:
        for entry in entries:
            if entry.name.endswith(
                (SUFFIX, SUFFIX + compressed.SUFFIX)
            ) and not entry.name.startswith("."):
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    found.append(CachedPack(Path(entry.path), status.st_size, status.st_mtime))
    return sorted(found, key=lambda pack: pack.used)


def touch(path: Path) -> None:
    """Note that a pack was used, where the cache can be written."""
    with contextlib.suppress(OSError):
        os.utime(path)


def store(build_id: str, image: bytes, *, lines: bool = False, most: int = MOST_BYTES) -> Path:
    """Put a pack into the cache and make room for it.

    :param lines: whether it is one with source lines
    :raises OSError: if that cannot be done; nothing is left behind
    """
    path = path_of(build_id, lines=lines)
    if path is None:
        raise OSError(f"{build_id!r} is no build ID")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, image)
    prune(most, keep=path)
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file at once, or leave it as it was.

    :raises OSError: if it cannot be written
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def prune(most: int, keep: Path | None = None) -> list[CachedPack]:
    """Remove packs, the one used longest ago first, until the rest takes no more than ``most``.

    :param most: bytes
    :param keep: not removed
    :return: what was removed
    """
    present = packs()
    total = sum(pack.size for pack in present)
    removed = []
    for pack in present:
        if total <= most:
            break
        if pack.path == keep:
            continue
        with contextlib.suppress(OSError):
            pack.path.unlink(missing_ok=True)
            removed.append(pack)
            total -= pack.size
    return removed

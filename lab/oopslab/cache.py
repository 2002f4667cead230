"""The lab's folder outside the tree: one lock per entry, entries appear whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def root() -> Path:
    """The cache folder: ``$OOPSIGHT_LAB_CACHE``, else ``oopsight-lab`` in the user's cache."""
    named = os.environ.get("OOPSIGHT_LAB_CACHE")
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "oopsight-lab"


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold *target*'s lock, a hidden file beside it, against other processes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.parent / f".{target.name}.lock"
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """Give a folder to fill, which becomes *target* when the block ends without an exception.

    What *target* was before is replaced; after a failure the half-filled folder is removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name[:60]}.", dir=target.parent))
    work.chmod(0o755)
    try:
        yield work
        if target.exists():
            shutil.rmtree(target)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)

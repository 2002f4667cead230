"""Debuginfod servers, where ``DEBUGINFOD_URLS`` names some (never asked otherwise).

A download is kept where elfutils' own client keeps it, ``debuginfod_client/BUILDID/debuginfo``
under the user's cache, so that the two share it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from oopsight.symbols import Wanted

ORDER = 40
DECISIVE = False
_VARIABLE = "DEBUGINFOD_URLS"
_TIMEOUT = 90.0


def _urls() -> list[str]:
    urls = os.environ.get(_VARIABLE, "").split()
    return [url.rstrip("/") for url in urls if url.startswith(("http://", "https://"))]


def _cache() -> Path:
    given = os.environ.get("DEBUGINFOD_CACHE_PATH")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(given) if given else Path(base).expanduser() / "debuginfod_client"


def unavailable(wanted: Wanted) -> str | None:
    """No server is configured, or there is no build ID to ask for."""
    if not wanted.build_id:
        return "the dump has no build ID"
    return None if _urls() else f"{_VARIABLE} is not set"


def candidates(wanted: Wanted) -> Iterator[Path]:
    """Yield the cached file, or download it from the first server that has it."""
    path = _cache() / str(wanted.build_id) / "debuginfo"
    if path.is_file() and path.stat().st_size:
        yield path
        return
    for url in _urls():
        if _download(f"{url}/buildid/{wanted.build_id}/debuginfo", path):
            yield path
            return


def _download(url: str, path: Path) -> bool:
    import urllib.request  # 14 ms that a search which ends on this machine does not pay

    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT) as answer,  # noqa: S310  # http(s) only
            tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file,
        ):
            temporary = Path(file.name)
            shutil.copyfileobj(answer, file, 1 << 20)
        temporary.replace(path)
    except OSError:  # URLError is one too: the server has it not, or cannot be reached
        if temporary:
            temporary.unlink(missing_ok=True)
        return False
    return True


def searched(wanted: Wanted) -> str:  # noqa: ARG001  # every source has this signature
    """Name the servers."""
    return ", ".join(_urls())

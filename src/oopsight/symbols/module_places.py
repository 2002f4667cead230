"""Where files of kernel modules are looked for, and how they are opened.

What the user gave, the dump's own folder and the folder ``modules`` beside it, then the trees of
the dump's release on this host. Distributions compress modules; they are read in memory.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError

_MOST_FILES = 200_000
_MOST_AT_HAND = 64
_LARGEST = 512 << 20
_COMPRESSED = (".xz", ".zst", ".gz")
_SUFFIXES = (".ko", ".ko.debug", *(f".ko{suffix}" for suffix in _COMPRESSED))
_TREE = "lib/modules"
_SYSTEM = (Path("/usr/lib/debug"), Path("/"))


@dataclass(frozen=True)
class Place:
    """A folder with modules."""

    path: Path
    name: str
    """How a report calls it, whatever the machine: ``beside the dump``."""
    deep: bool = True
    """Whether its sub-folders are searched, too."""
    of_release: bool = False
    """Whether the crashed kernel loads what is in there, even if built for another (RHEL's weak
    updates)."""


@dataclass(frozen=True)
class Found:
    """A file of a module."""

    path: Path
    place: Place

    @property
    def name(self) -> str:
        """How a report calls it: ``e1000e.ko.xz beside the dump``."""
        return f"{self.path.name} {self.place.name}"

    @property
    def compressed(self) -> bool:
        """Whether others than :func:`opened` cannot read it as it is."""
        return self.path.suffix in _COMPRESSED


def module_places(dump: Path, release: str | None, given: tuple[Path, ...]) -> tuple[Place, ...]:
    """List the folders to search for modules, those first that are the likeliest to fit.

    :param release: ``uname -r`` of the crashed kernel; it comes from the dump
    :param given: ``--debug-dir``
    """
    known = release if release and "/" not in release and not release.startswith(".") else None
    places = []
    for folder in given:
        nested = folder / "usr/lib/debug"
        trees = [root / _TREE / known for root in (folder, nested) if known]
        trees = [tree for tree in trees if tree.is_dir()]
        # The root of an unpacked package is large, and holds the trees of other kernels as well.
        places += [Place(tree, "in --debug-dir", of_release=True) for tree in trees]
        places.append(Place(folder, "in --debug-dir", deep=not trees))
    places.append(Place(dump.parent, "beside the dump", deep=False))
    places.append(Place(dump.parent / "modules", "in the folder modules beside the dump"))
    trees = [root / _TREE / known for root in _SYSTEM] if known else []
    places += [Place(tree, f"under {tree}", of_release=True) for tree in trees]
    return tuple(places)


def find(name: str, places: tuple[Place, ...]) -> Iterator[Found]:
    """Yield files of a module, in the order of the places, bounded.

    :param name: as ``lsmod`` shows it; the file may be spelt with dashes
    """
    wanted = {f"{name}{suffix}" for suffix in _SUFFIXES}
    left = _MOST_FILES
    for place in places:
        for folder, below, files in os.walk(place.path):
            left -= len(files)
            if left < 0:
                return
            below.sort()
            if not place.deep:
                below.clear()
            for file in sorted(files):
                if file.replace("-", "_") in wanted:
                    yield Found(Path(folder) / file, place)


def at_hand(places: tuple[Place, ...]) -> list[str]:
    """Names of the modules whose files lie where only those of this machine are put.

    A folder with many is a distribution's, and tells nothing of what the machine had loaded.
    """
    found: dict[str, None] = {}
    for place in places:
        names: list[str] = []
        for _, below, files in os.walk(place.path) if not place.of_release else ():
            below.sort()
            if not place.deep:
                below.clear()
            for file in sorted(files):
                stem = next((file.removesuffix(s) for s in _SUFFIXES if file.endswith(s)), None)
                if stem is not None:
                    names.append(stem.replace("-", "_"))
            if len(names) > _MOST_AT_HAND:
                break
        if len(names) <= _MOST_AT_HAND:
            found |= dict.fromkeys(names)
    return list(found)


def opened(path: Path) -> BinaryIO:
    """Open a module, decompressed where it is compressed.

    :raises OSError: if it cannot be read
    :raises SymbolError: if what it is compressed into is damaged or too large
    """
    if path.suffix not in _COMPRESSED:
        return path.open("rb")
    import lzma

    import zstandard

    with path.open("rb") as file, _decompressed(file, path.suffix) as reader:
        try:
            data = reader.read(_LARGEST + 1)
        except (lzma.LZMAError, zstandard.ZstdError, EOFError, ValueError) as error:
            raise SymbolError(f"{path}: cannot be decompressed: {error}") from None
    if len(data) > _LARGEST:
        raise SymbolError(f"{path}: more than {_LARGEST >> 20} MiB when decompressed")
    return io.BytesIO(data)


def _decompressed(file: BinaryIO, suffix: str) -> IO[bytes]:
    import gzip
    import lzma

    import zstandard

    if suffix == ".xz":
        return lzma.LZMAFile(file)
    if suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)

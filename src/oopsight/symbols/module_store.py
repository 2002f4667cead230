"""Where a pack keeps what it has of modules: one section, each module compressed by itself."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from oopsight.dump.elf import ElfFile, MalformedElfError
from oopsight.errors import SymbolError

SECTION = ".oopsight.modules"
_LARGEST = 256 << 20
_INDEX_LENGTH = 8


def packed(modules: Iterable[tuple[str, str, bytes]]) -> bytes:
    """The section's contents: length of the index, the index, the compressed modules.

    :param modules: name, build ID, image
    """
    index, data = {}, bytearray()
    for name, build_id, image in modules:
        body = zlib.compress(image, 6)
        index[build_id] = (name, len(data), len(body), len(image))
        data += body
    head = json.dumps(index, separators=(",", ":")).encode()
    return len(head).to_bytes(_INDEX_LENGTH, "little") + head + data


def _checked(index: object) -> dict[str, tuple[str, int, int, int]]:
    """The index, if it is one.

    :raises ValueError: if it is not
    """
    if not isinstance(index, dict):
        raise ValueError("no list of modules")  # noqa: TRY004  # bad data, not a bad call
    for row in index.values():
        if not isinstance(row, list) or [type(value) for value in row] != [str, int, int, int]:
            raise ValueError("no list of modules")
    return index


class ModuleStore:
    """The modules of one pack."""

    def __init__(self, pack: Path) -> None:
        """Read the index.

        :raises SymbolError: if it is damaged
        """
        self._pack, self._at, self._size = pack, 0, 0
        self._index: Mapping[str, tuple[str, int, int, int]] = {}
        try:
            with pack.open("rb") as file:
                section = next((s for s in ElfFile(file).sections() if s.name == SECTION), None)
                if section is None:
                    return
                file.seek(section.offset)
                length = int.from_bytes(file.read(_INDEX_LENGTH), "little")
                if length > section.size - _INDEX_LENGTH:
                    raise SymbolError(f"{pack}: its list of modules is cut off")
                self._index = _checked(json.loads(file.read(length)))
        except (OSError, MalformedElfError, ValueError, RecursionError) as error:
            raise SymbolError(f"{pack}: its list of modules is damaged: {error}") from None
        self._at = section.offset + _INDEX_LENGTH + length
        self._size = section.size - _INDEX_LENGTH - length

    def names(self) -> list[str]:
        """Names of all modules."""
        return sorted(str(name) for name, *_ in self._index.values())

    def image(self, build_id: str) -> bytes | None:
        """What there is of a module; ``None`` where it is not there.

        :raises SymbolError: if it is damaged
        """
        row = self._index.get(build_id)
        if row is None:
            return None
        _, at, size, length = row
        if not 0 <= at <= at + size <= self._size or not 0 <= length <= _LARGEST:
            raise SymbolError(f"{self._pack}: its list of modules is damaged")
        try:
            with self._pack.open("rb") as file:
                file.seek(self._at + at)
                return zlib.decompressobj().decompress(file.read(size), max(length, 1))
        except (OSError, zlib.error) as error:
            raise SymbolError(f"{self._pack}: module {row[0]!r}: {error}") from None

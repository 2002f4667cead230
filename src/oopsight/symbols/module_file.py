"""Names for addresses of a module that is gone, from its ``.ko`` where one is at hand.

The loader lays a module's sections out in groups (text, read-only, read-only after init, writable),
each from a page boundary on, in the order of the section headers: ``layout_sections()`` in
kernel/module/main.c. So the offset of an object within its page is known without knowing where the
module lay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from oopsight.cheap import dataclass
from oopsight.dump.elf import ElfFile, MalformedElfError, Section

_PAGE = 4096
_SHF_WRITE, _SHF_ALLOC, _SHF_EXEC = 1, 2, 4
_SHT_SYMTAB = 2
_STT_OBJECT, _STT_FUNC = 1, 2
_SYMBOL_SIZE = 24
_AFTER_INIT = (".data..ro_after_init", "__jump_table")
_NOT_LOADED = (".modinfo", "__versions", ".data..percpu")
_MOST_FILES = 200_000
_MOST_SYMBOLS = 1 << 20


@dataclass(frozen=True)
class ModuleSymbol:
    """A function or object of a module."""

    name: str
    page_offset: int
    """Of its first byte within its page."""
    size: int
    function: bool


def find(name: str, directories: tuple[Path, ...]) -> Iterator[Path]:
    """Yield files of a module under some directories, bounded.

    :param name: as ``lsmod`` shows it; the file may be spelt with dashes
    """
    wanted = {f"{name}.ko", f"{name}.ko.debug"}
    seen = 0
    for directory in directories:
        for folder, _, files in os.walk(directory):
            seen += len(files)
            if seen > _MOST_FILES:
                return
            yield from (Path(folder) / f for f in files if f.replace("-", "_") in wanted)


def _group(section: Section) -> int | None:
    if not section.flags & _SHF_ALLOC or section.name.startswith((".init", *_NOT_LOADED)):
        return None
    if section.flags & _SHF_EXEC:
        return 0
    if section.name in _AFTER_INIT:
        return 2
    return 3 if section.flags & _SHF_WRITE else 1


def symbols(path: Path) -> list[ModuleSymbol]:
    """Functions and objects of a ``.ko``.

    :raises OSError: if it cannot be read
    :raises MalformedElfError: if it is no ELF file
    """
    with path.open("rb") as file:
        elf = ElfFile(file)
        sections = elf.sections()
        starts: dict[int, int] = {}
        ends = dict.fromkeys(range(4), 0)
        for index, section in enumerate(sections):
            group = _group(section)
            if group is not None:
                align = max(section.align, 1)
                starts[index] = -(-ends[group] // align) * align
                ends[group] = starts[index] + section.size
        table = next((s for s in sections if s.type == _SHT_SYMTAB), None)
        if table is None or table.link >= len(sections):
            return []
        data, strings = elf.contents(table), elf.contents(sections[table.link])
    found = []
    for at in range(0, min(len(data), _MOST_SYMBOLS * _SYMBOL_SIZE), _SYMBOL_SIZE):
        row = data[at : at + _SYMBOL_SIZE]
        name_at = int.from_bytes(row[:4], "little")
        kind, index = row[4] & 0xF, int.from_bytes(row[6:8], "little")
        if kind not in (_STT_OBJECT, _STT_FUNC) or index not in starts:
            continue
        value = int.from_bytes(row[8:16], "little")
        name = strings[name_at : strings.find(b"\0", name_at)].decode("ascii", "replace")
        size = int.from_bytes(row[16:24], "little")
        offset = (starts[index] + value) % _PAGE
        found.append(ModuleSymbol(name, offset, size, kind == _STT_FUNC))
    return found


def first_readable(paths: Iterator[Path]) -> list[ModuleSymbol]:
    """Symbols of the first file that has any; empty where none has."""
    for path in paths:
        try:
            rows = symbols(path)
        except (OSError, MalformedElfError):
            continue
        if rows:
            return rows
    return []

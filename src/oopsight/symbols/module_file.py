"""What a module's file tells of where its functions and objects lay in memory.

The loader lays a module's sections out in parts (text, read-only, read-only after init, writable),
each from a page boundary on, in the order of the section headers: ``layout_sections()`` in
kernel/module/main.c. So the offset of an object within its page is known without knowing where the
module lay.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oopsight.cheap import dataclass
from oopsight.dump.elf import ElfFile, Section
from oopsight.symbols.module_places import opened

PAGE = 4096
PARTS = range(4)
_SHF_WRITE, _SHF_ALLOC, _SHF_EXEC = 1, 2, 4
_SHT_SYMTAB, _SHT_NOBITS = 2, 8
_STT_OBJECT, _STT_FUNC = 1, 2
_SYMBOL_SIZE = 24
_AFTER_INIT = (".data..ro_after_init", "__jump_table")
_NOT_LOADED = (".modinfo", "__versions", ".data..percpu")
_MOST_SYMBOLS = 1 << 20
_INIT, _EXIT = "init_module", "cleanup_module"
ALIASES = (_INIT, _EXIT)
"""Every module has these, beside the functions' own names."""


@dataclass(frozen=True)
class ModuleSymbol:
    """A function or object of a module."""

    name: str
    offset: int
    """Of its first byte within its part; where that is not known, within its page."""
    size: int
    function: bool
    part: int | None = None

    @property
    def page_offset(self) -> int:
        """Of its first byte within its page."""
        return self.offset % PAGE


@dataclass(frozen=True)
class ModuleFile:
    """A module as its file describes it."""

    name: str | None
    """``None`` where the file does not say, as files with nothing but debug information."""
    release: str | None
    """The kernel that it was built for; likewise."""
    symbols: tuple[ModuleSymbol, ...]
    sizes: tuple[int, ...]
    """Of the parts in memory, without the symbol table that the loader puts behind the last."""
    exit: ModuleSymbol | None
    """Its exit function by its own name."""
    init: str | None = None
    """Name of its initialisation, whose code is gone once it has run."""
    imports: frozenset[str] = frozenset()
    """What it uses of the kernel and of other modules."""


def read(path: Path) -> ModuleFile:
    """Read a ``.ko``, compressed or not, or the debug file of one.

    :raises OSError: if it cannot be read
    :raises MalformedElfError: if it is no ELF file
    :raises SymbolError: if it cannot be decompressed
    """
    with opened(path) as file:
        elf = ElfFile(file)
        sections = elf.sections()
        starts, sizes = _layout(sections)
        told = _modinfo(elf, sections)
        table = next((s for s in sections if s.type == _SHT_SYMTAB), None)
        found: tuple[ModuleSymbol, ...] = ()
        imports: frozenset[str] = frozenset()
        init = None
        if table is not None and table.link < len(sections):
            data, strings = elf.contents(table), elf.contents(sections[table.link])
            found = tuple(_symbols(data, strings, starts))
            imports = frozenset(_imports(data, strings))
            init = _init_name(data, strings)
    return ModuleFile(
        name=told.get("name"),
        release=told.get("vermagic", "").partition(" ")[0] or None,
        symbols=found,
        sizes=tuple(sizes),
        exit=exit_function(found),
        init=init,
        imports=imports,
    )


def exit_function(symbols: tuple[ModuleSymbol, ...]) -> ModuleSymbol | None:
    """Whatever has the same place as the name by which the loader knows the exit function."""
    alias = next((s for s in symbols if s.name == _EXIT), None)
    if alias is None:
        return None
    place = (alias.part, alias.offset)
    return next(
        (s for s in symbols if (s.part, s.offset) == place and s.function and s is not alias), None
    )


def _part(section: Section) -> int | None:
    if not section.flags & _SHF_ALLOC or section.name.startswith((".init", *_NOT_LOADED)):
        return None
    if section.flags & _SHF_EXEC:
        return 0
    if section.name in _AFTER_INIT:
        return 2
    return 3 if section.flags & _SHF_WRITE else 1


def _layout(sections: list[Section]) -> tuple[dict[int, tuple[int, int]], list[int]]:
    """Part and offset of each section by its number, and the size of each part."""
    starts: dict[int, tuple[int, int]] = {}
    ends = [0 for _ in PARTS]
    for index, section in enumerate(sections):
        part = _part(section)
        if part is not None:
            align = max(section.align, 1)
            starts[index] = part, -(-ends[part] // align) * align
            ends[part] = starts[index][1] + section.size
    return starts, ends


def _modinfo(elf: ElfFile, sections: list[Section]) -> dict[str, str]:
    """``.modinfo``: words of the form ``key=value``."""
    section = next((s for s in sections if s.name == ".modinfo"), None)
    if section is None or section.type == _SHT_NOBITS:
        return {}
    words = elf.contents(section).decode("utf-8", "replace").split("\0")
    return {key: value for key, _, value in (word.partition("=") for word in words) if key}


def _imports(data: bytes, strings: bytes) -> Iterator[str]:
    """Names of the symbols that the file has no section for."""
    for at in range(0, min(len(data), _MOST_SYMBOLS * _SYMBOL_SIZE), _SYMBOL_SIZE):
        name_at = int.from_bytes(data[at : at + 4], "little")
        if name_at and data[at + 6 : at + 8] == b"\0\0":
            yield strings[name_at : strings.find(b"\0", name_at)].decode("ascii", "replace")


def _init_name(data: bytes, strings: bytes) -> str | None:
    """The function that has the same place as the name by which the loader knows it."""
    names: dict[tuple[bytes, bytes], list[str]] = {}
    for at in range(
        0, min(len(data), _MOST_SYMBOLS * _SYMBOL_SIZE) - _SYMBOL_SIZE + 1, _SYMBOL_SIZE
    ):
        if data[at + 4] & 0xF == _STT_FUNC:
            name_at = int.from_bytes(data[at : at + 4], "little")
            name = strings[name_at : strings.find(b"\0", name_at)].decode("ascii", "replace")
            names.setdefault((data[at + 6 : at + 8], data[at + 8 : at + 16]), []).append(name)
    found = next((group for group in names.values() if _INIT in group), [])
    return next((name for name in found if name != _INIT), None)


def _symbols(data: bytes, strings: bytes, starts: dict[int, tuple[int, int]]) -> list[ModuleSymbol]:
    found = []
    for at in range(
        0, min(len(data), _MOST_SYMBOLS * _SYMBOL_SIZE) - _SYMBOL_SIZE + 1, _SYMBOL_SIZE
    ):
        row = data[at : at + _SYMBOL_SIZE]
        name_at = int.from_bytes(row[:4], "little")
        kind, index = row[4] & 0xF, int.from_bytes(row[6:8], "little")
        if kind not in (_STT_OBJECT, _STT_FUNC) or index not in starts:
            continue
        part, start = starts[index]
        name = strings[name_at : strings.find(b"\0", name_at)].decode("ascii", "replace")
        offset = start + int.from_bytes(row[8:16], "little")
        size = int.from_bytes(row[16:24], "little")
        found.append(ModuleSymbol(name, offset, size, kind == _STT_FUNC, part))
    return found

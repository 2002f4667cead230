"""What a symbol pack holds, for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oopsight.dump.elf import ElfFile, MalformedElfError
from oopsight.errors import SymbolError
from oopsight.symbols.compressed import readable
from oopsight.symbols.lookup import UNTYPED
from oopsight.symbols.module_store import ModuleStore
from oopsight.symbols.seal import BrokenPackError, check_seal

_ROW = 24
_ORC = 6
_MOST_NAMES = 100


def describe(path: Path) -> Iterator[tuple[str, str]]:
    """Yield names and values.

    :raises SymbolError: if it is no whole pack
    """
    name = path
    path = readable(path)
    try:
        check_seal(path)
        with path.open("rb") as file:
            elf = ElfFile(file)
            sections = {section.name: section for section in elf.sections()}
            build_id = elf.build_id()
            untyped = elf.contents(sections[UNTYPED]).split() if UNTYPED in sections else []
    except BrokenPackError as error:
        raise SymbolError(f"{name}: {error}") from None
    except (OSError, MalformedElfError) as error:
        raise SymbolError(f"{name}: {getattr(error, 'strerror', None) or error}") from None

    def size(name: str) -> int:
        return sections[name].size if name in sections else 0

    yield "file", str(name)
    yield "build ID", build_id or "none"
    yield "size", f"{path.stat().st_size} bytes"
    yield "symbols", str(max(size(".symtab") // _ROW - 1, 0))
    yield "types and variables", f"{size('.debug_info')} bytes of DWARF"
    yield "unwind entries (ORC)", str(size(".orc_unwind") // _ORC)
    lines = size(".debug_line")
    yield "source lines and inlined calls", f"{lines} bytes of lines" if lines else "none"
    modules = ModuleStore(path).names()
    if modules:
        yield "modules with source lines", f"{len(modules)}: {_listed(modules)}"
    names = [name.decode("ascii", "replace") for name in untyped]
    yield "variables without a type", _listed(names) or "none that is known of"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more

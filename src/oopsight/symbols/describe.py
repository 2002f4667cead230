"""What a symbol pack holds, for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oopsight.dump.elf import ElfFile, MalformedElfError
from oopsight.errors import SymbolError
from oopsight.symbols.lookup import UNTYPED
from oopsight.symbols.seal import BrokenPackError, check_seal

_ROW = 24
_ORC = 6


def describe(path: Path) -> Iterator[tuple[str, str]]:
    """Yield names and values.

    :raises SymbolError: if it is no whole pack
    """
    try:
        check_seal(path)
        with path.open("rb") as file:
            elf = ElfFile(file)
            sections = {section.name: section for section in elf.sections()}
            build_id = elf.build_id()
            untyped = elf.contents(sections[UNTYPED]).split() if UNTYPED in sections else []
    except BrokenPackError as error:
        raise SymbolError(f"{path}: {error}") from None
    except (OSError, MalformedElfError) as error:
        raise SymbolError(f"{path}: {getattr(error, 'strerror', None) or error}") from None

    def size(name: str) -> int:
        return sections[name].size if name in sections else 0

    yield "file", str(path)
    yield "build ID", build_id or "none"
    yield "size", f"{path.stat().st_size} bytes"
    yield "symbols", str(max(size(".symtab") // _ROW - 1, 0))
    yield "types and variables", f"{size('.debug_info')} bytes of DWARF"
    yield "unwind entries (ORC)", str(size(".orc_unwind") // _ORC)
    yield "source lines", "yes" if size(".debug_line") else "no"
    names = ", ".join(name.decode("ascii", "replace") for name in untyped)
    yield "variables without a type", names or "none that is known of"

"""The kernel's symbol table as arrays: names for thousands of addresses in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass
from oopsight.dump.elf import ElfFile, MalformedElfError

if TYPE_CHECKING:
    from drgn import Program

_SHT_SYMTAB = 2
_MOST_BYTES = 1 << 28
_STT_SECTION, _STT_FILE = 3, 4
_KERNEL = 1 << 47
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class SymbolTable:
    """Symbols by address; parallel arrays."""

    addresses: Any
    sizes: Any
    infos: Any
    names_at: Any
    strings: bytes

    def name(self, index: int) -> str:
        """Name of the symbol at an index."""
        at = int(self.names_at[index])
        return self.strings[at : self.strings.find(b"\0", at)].decode("ascii", "replace")

    def __len__(self) -> int:
        return len(self.addresses)


def kernel_symbols(prog: Program) -> SymbolTable | None:
    """The table of the file that the kernel's debug information comes from.

    :return: ``None`` where it has none
    """
    import numpy as np

    module = prog.main_module()
    path = module.debug_file_path or module.loaded_file_path
    bias = module.debug_file_bias if module.debug_file_path else module.loaded_file_bias
    if path is None:
        return None
    try:
        with Path(path).open("rb") as file:
            sections = ElfFile(file).sections()
            table = next((s for s in sections if s.type == _SHT_SYMTAB), None)
            if table is None or table.link >= len(sections):
                return None
            strings_at = sections[table.link]
            if max(table.size, strings_at.size) > _MOST_BYTES:
                return None
            file.seek(table.offset)
            data = file.read(table.size)
            file.seek(strings_at.offset)
            strings = file.read(strings_at.size)
    except (OSError, MalformedElfError):
        return None
    layout = np.dtype(
        [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"),
         ("size", "<u8")]
    )  # fmt: skip
    rows = np.frombuffer(data[: len(data) // 24 * 24], dtype=layout)
    kinds = rows["info"] & 0xF
    keep = (
        (rows["name"] != 0)
        & (rows["section"] != 0)
        & (kinds != _STT_SECTION)
        & (kinds != _STT_FILE)
    )  # one condition
    rows = rows[keep & (rows["name"] < len(strings))]
    # Per-CPU symbols are offsets, and not moved by KASLR.
    values = rows["value"]
    moved = values + np.uint64((bias or 0) & _MASK)
    values = np.where(values >= np.uint64(_KERNEL), moved, values)
    # Of symbols at one address the global one comes last, a sized one behind one without size.
    order = np.lexsort((rows["info"] >> 4, rows["size"] != 0, values))
    rows = rows[order]
    return SymbolTable(values[order], rows["size"], rows["info"], rows["name"], strings)

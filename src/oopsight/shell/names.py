"""Names of addresses: symbols, modules, source lines, each found once.

drgn scans the symbol tables for each address (0.7 ms on a distribution's kernel); after some
hundred of them a sorted table of all symbols is made, which makes that vanish.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass
from oopsight.shell.symtab import SymbolTable, kernel_symbols
from oopsight.text import printable
from oopsight.walk import MOST_MODULES, each_once

if TYPE_CHECKING:
    from drgn import Program

    from oopsight.evidence.modules.modules import Module, Modules

Row = tuple[int, int, str, str]
"""Address, size, name, letter."""

TABLE_AFTER = 200
"""So many addresses are looked up one by one (0.7 ms each) before the table is made (200 ms)."""
# Labels without a size in the assembly that stacks begin with.
_LABELS = {
    "entry_SYSCALL_64": ("entry_SYSCALL_64_after_hwframe",),
    "entry_SYSCALL_compat": ("entry_SYSCALL_compat_after_hwframe",),
    "secondary_startup_64": ("secondary_startup_64_no_verify",),
}
_STB_GLOBAL, _STB_WEAK = 1, 2
MOST_NESTED = 64
_FARTHEST = 1 << 20
"""A symbol without size names no address farther behind it than this."""


@dataclass(frozen=True)
class Named:
    """A symbol and where in it an address is."""

    name: str
    address: int
    """Of the symbol's first byte."""
    size: int
    offset: int
    module: str | None
    letter: str
    """As ``nm`` shows the kind: T text, D data, B bss …; lower case where local."""

    @property
    def with_offset(self) -> str:
        """``strnlen+9``; the bare name at its start."""
        return f"{self.name}+{self.offset}" if self.offset else self.name


@dataclass(frozen=True)
class SourceLine:
    """One function at an address; several where calls were inlined, innermost first."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}: {self.line}"


_SKIPPED = ("__pfx_", "__cfi_", "__kstrtab", "__ksymtab", "__crc_")


class Names:
    """Symbols of one program."""

    def __init__(self, prog: Program, modules: Modules | None) -> None:
        self.prog = prog
        self.modules = modules
        self._memo: dict[int, Named | None] = {}
        self._lines: dict[int, tuple[SourceLine, ...]] = {}
        self._by_name: dict[str, int] = {}
        self._sections: list[tuple[int, int, str]] | None = None
        self._table: SymbolTable | None = None
        self._modules: tuple[list[int], list[Row]] | None = None
        self._tried = False

    @property
    def table(self) -> SymbolTable | None:
        """The kernel's own symbols."""
        if not self._tried:
            self._tried = True
            self._table = kernel_symbols(self.prog)
        return self._table

    def of(self, address: int) -> Named | None:
        """The symbol that an address lies in."""
        if address not in self._memo:
            self._memo[address] = self._find(address)
        return self._memo[address]

    def show(self, address: int, *, offset: bool = True) -> str | None:
        """``name+offset``, with the module in brackets where it is in one."""
        found = self.of(address)
        if found is None:
            return None
        name = found.with_offset if offset else found.name
        return f"{name} [{found.module}]" if found.module else name

    def text(self, address: int) -> str:
        """``name+offset``, else the address itself."""
        found = self.of(address)
        return found.with_offset if found else f"{address:x}"

    def _find(self, address: int) -> Named | None:
        row = None
        owner = self.module_at(address)
        if owner is not None:
            starts, rows = self.module_rows()
            at = bisect.bisect_right(starts, address) - 1
            if at >= 0 and owner.holds(rows[at][0]):
                row = rows[at]
        elif self._tried or len(self._memo) >= TABLE_AFTER:
            row = self._in_table(self.table, address) if self.table else self._asked(address)
        else:
            row = self._asked(address)
        if row is None:
            return None
        start, size, name, letter = row
        module = owner.name if owner else None
        return Named(printable(name, 256), start, size, address - start, module, letter)

    def _asked(self, address: int) -> Row | None:
        """The symbol as drgn finds it, and the label in it where it is assembly."""
        try:
            symbol = self.prog.symbol(address)
        except LookupError:
            return None
        start, size, name = symbol.address, symbol.size, symbol.name
        for label in _LABELS.get(name, ()):
            at = self.address_of(label)
            if at is not None and start < at <= address:
                start, size, name = at, 0, label
        return start, size, name, self.letter_of(symbol)

    def _in_table(self, table: SymbolTable, address: int) -> Row | None:
        import numpy as np

        at = int(np.searchsorted(table.addresses, np.uint64(address), side="right")) - 1
        for index in range(at, max(-1, at - MOST_NESTED), -1):
            start, size = int(table.addresses[index]), int(table.sizes[index])
            name = table.name(index)
            if name.startswith(_SKIPPED):
                continue
            if size and address >= start + size:
                continue
            if not size and address - start > (0 if start >> 47 == 0 else _FARTHEST):
                return None
            if not size and self.section_letter(start) != self.section_letter(address):
                return None
            return start, size, name, self.letter(int(table.infos[index]), start)
        return None

    def module_at(self, address: int) -> Module | None:
        """The loaded module that holds an address."""
        if self.modules is None or not self.modules.in_area(address):
            return None
        return self.modules.owner(address)

    def module_rows(self) -> tuple[list[int], list[Row]]:
        """Symbols of modules by address: starts, and rows."""
        if self._modules is None:
            area = self.modules.area if self.modules else None
            low = area[0] if area else 0
            best: dict[int, Row] = {}
            for symbol in self._module_symbols():
                address = symbol.address
                if address < low or not symbol.name or symbol.name.startswith(_SKIPPED):
                    continue
                if self.module_at(address) is None:
                    continue
                row = (address, symbol.size, symbol.name, self.letter_of(symbol))
                kept = best.get(address)
                if kept is None or (row[3].isupper(), row[1]) > (kept[3].isupper(), kept[1]):
                    best[address] = row
            rows = sorted(best.values())
            self._modules = [row[0] for row in rows], rows
        return self._modules

    def _module_symbols(self) -> list[Any]:
        """From the modules' own tables; where debug information was loaded, from that too."""
        from drgn import FaultError, ModuleFileStatus, RelocatableModule
        from drgn.helpers.linux.kallsyms import module_kallsyms
        from drgn.helpers.linux.module import for_each_module

        files = [
            (module.loaded_file_status, module.debug_file_status)
            for module in self.prog.modules()
            if isinstance(module, RelocatableModule)
        ]
        if not any(ModuleFileStatus.HAVE in pair for pair in files):
            with contextlib.suppress(FaultError, LookupError, AttributeError, ValueError):
                # All the kernel's own symbols are left alone, 20 ms instead of 600.
                modules = each_once(for_each_module(self.prog), MOST_MODULES)
                return [symbol for module in modules for symbol in module_kallsyms(module)]
        return list(self.prog.symbols())

    def all(self) -> Iterator[Row]:
        """All symbols in the order of their addresses."""
        table = self.table
        if table is None:
            yield from sorted(
                (s.address, s.size, s.name, self.letter_of(s)) for s in self.prog.symbols()
            )
            return
        for index in range(len(table)):
            address = int(table.addresses[index])
            name = table.name(index)
            if not name.startswith(_SKIPPED):
                yield (
                    address, int(table.sizes[index]), name,
                    self.letter(int(table.infos[index]), address),
                )  # fmt: skip
        yield from self.module_rows()[1]

    def next_after(self, address: int) -> int | None:
        """The address of the first symbol behind an address."""
        starts, _ = self.module_rows() if self.module_at(address) else ([], [])
        if starts:
            at = bisect.bisect_right(starts, address)
            return starts[at] if at < len(starts) else None
        table = self.table
        if table is None:
            return None
        import numpy as np

        at = int(np.searchsorted(table.addresses, np.uint64(address), side="right"))
        while at < len(table) and table.name(at).startswith(_SKIPPED):
            at += 1
        return int(table.addresses[at]) if at < len(table) else None

    def letter(self, info: int, address: int) -> str:
        """As ``nm`` shows the kind, from the symbol's ``st_info``."""
        letter = self.section_letter(address) or {2: "t", 1: "d"}.get(info & 0xF, "t")
        binding = info >> 4
        if binding == _STB_WEAK:
            return "W" if letter == "t" else "V"
        return letter.upper() if binding == _STB_GLOBAL else letter

    def letter_of(self, symbol: Any) -> str:
        """As ``nm`` shows the kind, from drgn's symbol."""
        from drgn import SymbolBinding, SymbolKind

        kind = {SymbolKind.FUNC: 2, SymbolKind.OBJECT: 1}.get(symbol.kind, 0)
        binding = {SymbolBinding.GLOBAL: _STB_GLOBAL, SymbolBinding.WEAK: _STB_WEAK}
        return self.letter(kind | binding.get(symbol.binding, 0) << 4, symbol.address)

    def section_letter(self, address: int) -> str | None:
        """The letter by where the address lies between the kernel's own section marks."""
        if self._sections is None:
            self._sections = []
            marks = (
                ("_stext", "_etext", "t"),
                ("__start_rodata", "__end_rodata", "r"),
                ("_sdata", "_edata", "d"),
                ("__bss_start", "__bss_stop", "b"),
                ("_sinittext", "_einittext", "t"),
            )
            for start, end, letter in marks:
                try:
                    low = self.prog.symbol(start).address
                    self._sections.append((low, self.prog.symbol(end).address, letter))
                except LookupError:
                    continue
        return next((c for low, high, c in self._sections if low <= address < high), None)

    def address_of(self, name: str) -> int | None:
        """The address of a symbol."""
        if name not in self._by_name:
            try:
                self._by_name[name] = self.prog.symbol(name).address
            except LookupError:
                return None
        return self._by_name[name]

    def containing(self, part: str) -> list[Row]:
        """Symbols with the string in their name."""
        return [row for row in self.all() if part in row[2]]

    def is_text(self, address: int) -> bool:
        """Whether the address lies in kernel or module text."""
        self.section_letter(0)
        sections = self._sections or []
        if any(low <= address < high and c == "t" for low, high, c in sections):
            return True
        if self.module_at(address) is None:
            return False
        found = self.of(address)
        return found is not None and found.letter in "tTwW"

    def source(self, address: int) -> tuple[SourceLine, ...]:
        """Source lines of an address, the inlined functions first; empty where not known."""
        if address not in self._lines:
            self._lines[address] = self._source(address)
        return self._lines[address]

    def _source(self, address: int) -> tuple[SourceLine, ...]:
        try:
            found = self.prog.source_location(address)
        except (LookupError, ValueError):
            return ()
        return tuple(
            SourceLine(printable(row.name() or ""), printable(row.filename), row.line)
            for row in (found[index] for index in range(len(found)))
            if row.filename
        )

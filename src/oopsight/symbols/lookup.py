"""Symbol lookup in a pack: two sorted tables and bisection, no matter how large.

drgn's own finder goes through the whole table for each address, 1-2 ms a time.
"""

from __future__ import annotations

import mmap
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oopsight.dump.elf import ElfFile, MalformedElfError
from oopsight.errors import SymbolError

if TYPE_CHECKING:
    from drgn import FindObjectFlags, Object, Program, Symbol

    Finder = Callable[[Program, str | None, int | None, bool], Sequence[Symbol]]

HASHES = ".oopsight.hashes"
"""``uint32`` each: the hashes of all names, ascending."""
BY_HASH = ".oopsight.by_hash"
"""``uint32`` each: the symbol of each hash."""
UNTYPED = ".oopsight.untyped"
"""Names of variables, a line each, whose type could not be believed."""
HASH_FACTOR = 31
KERNEL_IMAGE = 0xFFFFFFFF80000000
"""x86-64's ``__START_KERNEL_map``: addresses from here on are moved by KASLR."""
_ROW = 24
_WORDS = 3
_MOST_LABELS = 256
_TABLE = "oopsight-symbol-table"
_MODULES = "oopsight-symbols-of-modules"


def name_hash(name: bytes) -> int:
    """The hash of a name: its bytes times powers of 31, modulo 2^32.

    >>> name_hash(b"ab") == (97 * 31 + 98 * 31 * 31) % 2**32
    True
    """
    total = 0
    for byte in reversed(name):
        total = (total + byte) * HASH_FACTOR
    return total & 0xFFFFFFFF


class UntypedVariableError(SymbolError):
    """A variable of which only the address is known.

    Not a ``LookupError``: drgn's helpers take that for a kernel which has no such variable, and
    go on to a wrong answer.
    """


class SymbolTable:
    """The symbols of one pack, at run-time addresses; a symbol finder for drgn."""

    def __init__(self, path: Path | str, kaslr_offset: int) -> None:
        """Map the pack.

        :raises SymbolError: if it has no index
        """
        with open(path, "rb") as file:  # noqa: PTH123  # may be /proc/self/fd/N
            try:
                sections = {s.name: s for s in ElfFile(file).sections()}
                wanted = [
                    sections[name] for name in (".symtab", ".strtab", HASHES, BY_HASH, UNTYPED)
                ]
            except (KeyError, MalformedElfError):
                raise SymbolError(f"{path}: a symbol pack without its index") from None
            whole = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        table, self._strings, hashes, by_hash, untyped = (
            whole[section.offset : section.offset + section.size] for section in wanted
        )
        try:
            self._words = table.cast("Q")
            self._rows = table
            self._hashes, self._by_hash = hashes.cast("I"), by_hash.cast("I")
        except TypeError:
            raise SymbolError(f"{path}: a symbol pack whose index is cut off") from None
        count = len(table) // _ROW
        # The null entry aside: local symbols, then global and weak ones, each by address.
        self._runs = ((wanted[0].info, count), (1, wanted[0].info))
        self._offset = kaslr_offset
        self._untyped = frozenset(bytes(untyped).decode("ascii", "replace").split("\n"))

    def refuse_untyped(
        self, prog: Program, name: str, flags: FindObjectFlags, filename: str | None
    ) -> Object | None:
        """As an object finder behind all others: say why a variable is not there.

        :raises UntypedVariableError: for one that the kernel has
        """
        del prog, flags, filename
        if name in self._untyped:
            raise UntypedVariableError(
                f"the type of {name} is not known from the dump's own symbols; "
                "a debug package would tell it"
            )
        return None

    def _value(self, row: int) -> int:
        return self._words[row * _WORDS + 1]

    def _size(self, row: int) -> int:
        return self._words[row * _WORDS + 2]

    def _name(self, row: int) -> bytes:
        start = int.from_bytes(self._rows[row * _ROW : row * _ROW + 4], "little")
        end = start + 64
        while (text := bytes(self._strings[start:end])).find(b"\0") < 0 and end - start < 4096:
            end += 448
        return text.partition(b"\0")[0]

    def _symbol(self, row: int) -> Symbol:
        from drgn import Symbol, SymbolBinding, SymbolKind

        info = self._rows[row * _ROW + 4]
        value = self._value(row)
        return Symbol(
            self._name(row).decode("ascii", "replace"),
            value + self._offset if value >= KERNEL_IMAGE else value,
            self._size(row),
            SymbolBinding((info >> 4) + 1),
            SymbolKind(info & 0xF),
        )

    def _holding(self, address: int) -> list[int]:
        """Rows of the symbols nearest to an address that reach to it, the best first."""
        if address < KERNEL_IMAGE:
            return []  # per-CPU variables have offsets for addresses
        linked = address - self._offset
        found: list[int] = []
        best = -1
        for first, end in self._runs:
            rows = range(first, end)
            row = first + bisect_right(rows, linked, key=self._value) - 1
            # Labels within a function have no size and hold nothing.
            nearest = max(first, row - _MOST_LABELS)
            while row > nearest and not self._size(row):
                row -= 1
            if row < first:
                continue
            value = self._value(row)
            if value < best or not linked < value + self._size(row):
                continue
            same = first + bisect_left(rows, value, key=self._value)
            sized = [other for other in range(same, row + 1) if self._size(other)]
            found = [*(found if value == best else []), *sized]
            best = value
        return found

    def _named(self, name: str) -> list[int]:
        key = name.encode("utf-8", "replace")
        wanted = name_hash(key)
        at = bisect_left(self._hashes, wanted)
        rows = []
        while at < len(self._hashes) and self._hashes[at] == wanted:
            if self._name(self._by_hash[at]) == key:
                rows.append(self._by_hash[at])
            at += 1
        return sorted(rows, reverse=True)  # global symbols first

    def between(self, first: int, end: int) -> list[tuple[int, str]]:
        """Address and name of the symbols from one address up to another, in order."""
        moved = self._offset if first >= KERNEL_IMAGE else 0
        found = []
        for begin, behind in self._runs:
            rows = range(begin, behind)
            low = begin + bisect_left(rows, first - moved, key=self._value)
            high = begin + bisect_left(rows, end - moved, key=self._value)
            found += [
                (self._value(row) + moved, self._name(row).decode("ascii", "replace"))
                for row in range(low, high)
            ]
        return sorted(found)

    def matching(self, pattern: str) -> list[str]:
        """The names of which the whole agrees with a regular expression."""
        strings = bytes(self._strings)
        match = re.compile(b"(?:%s)(?=\0)" % pattern.encode()).match
        starts = self._rows.cast("I")[:: _ROW // 4].tolist()
        found = filter(None, (match(strings, start) for start in starts))
        return [one[0].decode("ascii", "replace") for one in found]

    def __call__(
        self, prog: Program, name: str | None, address: int | None, one: bool
    ) -> Sequence[Symbol]:
        """Find symbols by name, by address, by both, or all of them."""
        del prog
        if address is not None:
            rows = self._holding(address)
            if name is not None:
                rows = [row for row in rows if self._name(row) == name.encode()]
        elif name is not None:
            rows = self._named(name)
        else:
            rows = list(range(1, len(self._rows) // _ROW))
        return [self._symbol(row) for row in (rows[:1] if one else rows)]


def install(prog: Program, table: SymbolTable) -> None:
    """Let drgn find the kernel's symbols in a pack's table, and only there."""
    prog.register_symbol_finder("pack", table, enable_index=0)
    prog.set_enabled_symbol_finders(["pack"])
    prog.cache[_TABLE] = table


def install_modules(prog: Program, finder: Finder) -> None:
    """Let drgn find the modules' symbols behind the kernel's."""
    prog.register_symbol_finder("module-kallsyms", finder, enable_index=-1)
    prog.cache[_MODULES] = finder


def symbols_between(prog: Program, first: int, end: int) -> list[tuple[int, str]]:
    """Address and name of the kernel's symbols from one address up to another, in order.

    Without making a Symbol of each that there is, which for a pack takes a second.
    """
    table: SymbolTable | None = prog.cache.get(_TABLE)
    if table is not None:
        return table.between(first, end)
    return sorted((one.address, one.name) for one in prog.symbols() if first <= one.address < end)


def symbols_matching(prog: Program, pattern: str) -> list[str]:
    """The symbols, also of modules, of which the whole name agrees with a regular expression."""
    table: SymbolTable | None = prog.cache.get(_TABLE)
    of_modules: Finder | None = prog.cache.get(_MODULES)
    names = [] if table is None else table.matching(pattern)
    if table is None:
        others = prog.symbols()
    else:
        others = [] if of_modules is None else list(of_modules(prog, None, None, False))
    match = re.compile(pattern).fullmatch
    return names + [one.name for one in others if match(one.name)]

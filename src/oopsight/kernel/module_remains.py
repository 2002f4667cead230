"""What is left of unloaded modules in pages that were theirs and are free now.

A module's memory is given back without being cleared. Until its pages are used again they hold its
``struct module``, which tells where it lay, and its symbol table, which tells what lay where. The
pages are known by what is in them alone: no page table leads to them any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass
from oopsight.kernel.free_pages import for_each_free_page
from oopsight.session import RECORDER, unrecorded

if TYPE_CHECKING:
    from drgn import Program

PAGE = 4096
MOST_PAGES = 8192
_MOST_MODULES = 64
_MOST_SYMBOLS = 1 << 16
_LARGEST_MODULE = 64 << 20
_LONGEST_NAME = 512
_UNFORMED = 3  # enum module_state: what free_module() sets
_SYMBOL = 24  # sizeof(Elf64_Sym)
_OBJECT, _FUNCTION = 1, 2
# list_del_rcu() of free_module() leaves LIST_POISON2, and behind it is the module's name.
_DESCRIPTION = re.compile(rb"\x22\x01\x00\x00\x00\x00\xad\xde([A-Za-z0-9_-]{1,55})\0")
_IDENTIFIER = re.compile(rb"[A-Za-z_.$][\w.$]*\Z")


@dataclass(frozen=True)
class RemainingSymbol:
    """A function or object of a module that is gone."""

    name: str
    address: int
    size: int
    function: bool


@dataclass(frozen=True)
class Description:
    """A ``struct module`` in a free page."""

    name: str
    address: int
    """Of the structure, in the direct map."""
    ranges: tuple[tuple[int, int], ...]
    """Half-open ranges of the module's memory; those of its init part, freed early, left out."""
    exit: int
    """Address of its exit function; 0 where it had none."""
    symbols: tuple[RemainingSymbol, ...]
    """As far as its symbol table is left."""

    def holds(self, address: int) -> bool:
        """Whether the address was the module's."""
        return any(start <= address < end for start, end in self.ranges)


class Remains:
    """The free pages of a dump, looked through once.

    :param area: half-open range of addresses where modules are loaded
    :param buddy: whether the buddy allocator's pages can be in the dump; to find each of thousands
        left out costs 5 us
    """

    def __init__(
        self, prog: Program, area: tuple[int, int], most: int = MOST_PAGES, *, buddy: bool = True
    ) -> None:
        from drgn import FaultError

        self._prog, self._area = prog, area
        self._most, self._buddy = most, buddy
        self._pages: dict[int, bytes] = {}
        self._used: set[int] = set()
        # What was in these pages last may be a program's.
        with unrecorded(prog):
            for address in for_each_free_page(prog, most, buddy=buddy):
                try:
                    self._pages[address] = prog.read(address, PAGE)
                except FaultError:
                    continue

    def __len__(self) -> int:
        return len(self._pages)

    def descriptions(self) -> list[Description]:
        """Every ``struct module`` that holds together, each once."""
        with unrecorded(self._prog):
            found = self._descriptions()
        if self._prog.cache.get(RECORDER) is not None:
            self._record()
        return found

    def _record(self) -> None:
        """Read again what was of use, and the lists that lead there."""
        left = set(self._used)
        for address in for_each_free_page(self._prog, self._most, buddy=self._buddy):
            if address in left:
                self._prog.read(address, PAGE)
                left.discard(address)
            if not left:
                return

    def _descriptions(self) -> list[Description]:
        from drgn import FaultError

        found: dict[tuple[Any, ...], Description] = {}
        for page, data in self._pages.items():
            for match in _DESCRIPTION.finditer(data):
                if len(found) >= _MOST_MODULES:
                    return list(found.values())
                try:
                    described = self._describe(page, match)
                except (FaultError, AttributeError, LookupError):
                    continue
                if described:
                    self._used.add(page)
                    found.setdefault((described.name, described.ranges), described)
        return list(found.values())

    def _describe(self, page: int, match: re.Match[bytes]) -> Description | None:
        from drgn import Object, offsetof, sizeof

        kind = self._prog.type("struct module")
        address = page + match.start(1) - offsetof(kind, "name")
        # What lies in the next page of the direct map is another's.
        if address < page or address + sizeof(kind) > page + PAGE:
            return None
        module = Object(self._prog, kind, address=address)
        if module.state.value_() != _UNFORMED:
            return None
        ranges = tuple(_ranges(module))
        low, high = self._area
        if not ranges or any(
            start % PAGE or not low <= start < end <= high or end - start > _LARGEST_MODULE
            for start, end in ranges
        ):
            return None
        leave = module.member_("exit").value_()
        if leave and not any(start <= leave < end for start, end in ranges):
            return None
        table = module.core_kallsyms
        symbols = self._symbols(
            ranges, table.symtab.value_(), table.num_symtab.value_(), table.strtab.value_()
        )
        return Description(match[1].decode(), address, ranges, leave, tuple(symbols))

    def _symbols(
        self, ranges: Sequence[tuple[int, int]], table: int, count: int, strings: int
    ) -> Iterator[RemainingSymbol]:
        """Put the symbol table together again from the pages that can have been its own."""
        if not 0 < count <= _MOST_SYMBOLS:
            return
        end = table + count * _SYMBOL
        rows: dict[int, bytes] = {}
        for begin in range(table & -PAGE, end, PAGE):
            rows.update(self._rows(ranges, table, end, begin))
        starts = sorted({int.from_bytes(row[:4], "little") for row in rows.values()})
        texts: dict[int, str] = {}
        if starts:
            last = strings + starts[-1]
            for begin in range(strings & -PAGE, last + 1, PAGE):
                texts.update(self._texts(strings, starts, begin))
        for row in rows.values():
            name = texts.get(int.from_bytes(row[:4], "little"))
            if name:
                # The kernel put a letter for nm's type in the place of the type until 5.2.
                code = row[4]
                function = code & 0xF == _FUNCTION if code < 0x40 else chr(code) in "tT"
                yield RemainingSymbol(
                    name,
                    int.from_bytes(row[8:16], "little"),
                    int.from_bytes(row[16:24], "little"),
                    function,
                )

    def _rows(
        self, ranges: Sequence[tuple[int, int]], table: int, end: int, begin: int
    ) -> dict[int, bytes]:
        """Entries of the table that lie wholly in the page which had been at *begin*."""
        first = max(table, begin + (table - begin) % _SYMBOL)
        places = range(first, min(end, begin + PAGE) - _SYMBOL + 1, _SYMBOL)
        found: dict[tuple[bytes, ...], int] = {}
        for page, data in self._pages.items():
            rows = []
            for at in places:
                row = data[at - begin : at - begin + _SYMBOL]
                value = int.from_bytes(row[8:16], "little")
                # The first entry of every symbol table is empty.
                if at == table:
                    if row.strip(b"\0"):
                        break
                elif not any(start <= value <= stop for start, stop in ranges):
                    break
                rows.append(row)
            else:
                if len(rows) > 1:
                    found.setdefault(tuple(rows), page)
        if len(found) != 1:
            return {}
        ((only, page),) = found.items()
        self._used.add(page)
        return {at: row for at, row in zip(places, only, strict=True) if at != table}

    def _texts(self, strings: int, starts: list[int], begin: int) -> dict[int, str]:
        """Names that begin in the page which had been at *begin*, by their place in the table."""
        known = set(starts)
        here = [s for s in starts if begin < strings + s < begin + PAGE]
        if strings >= begin:
            here = [0, *(s for s in here if s)]
        found: dict[tuple[tuple[int, str], ...], int] = {}
        for page, data in self._pages.items():
            names = []
            for start in here:
                at = strings + start - begin
                if not start:
                    if data[at]:
                        break
                    continue
                name = data[at : at + _LONGEST_NAME].split(b"\0", 1)
                follows = start + len(name[0]) + 1
                if data[at - 1] or not _IDENTIFIER.match(name[0]):
                    break
                # The names are packed: behind each begins another, if it was not the last.
                if len(name) > 1 and start != starts[-1] and follows not in known:
                    break
                if len(name) > 1:  # else it goes on in another page
                    names.append((start, name[0].decode()))
            else:
                if len(names) > 1:
                    found.setdefault(tuple(names), page)
        if len(found) != 1:
            return {}
        ((only, page),) = found.items()
        self._used.add(page)
        return dict(only)


def _ranges(module: Any) -> Iterator[tuple[int, int]]:
    """Where the module's memory was, the init part left out."""
    try:
        # Since Linux 6.4 (commit ac3b43283923) each kind of memory lies by itself.
        parts = [module.mem[index] for index in range(4)]
    except AttributeError:
        parts = [module.core_layout]
    for part in parts:
        start, size = part.base.value_(), part.size.value_()
        if size:
            yield start, start + size

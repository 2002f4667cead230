"""The kernel's symbols: by link-time address, by name, and as the sections of a pack."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from oopsight.errors import SymbolError
from oopsight.symbols import lookup
from oopsight.symbols.lookup import KERNEL_IMAGE
from oopsight.symbols.pack.elf_image import SHT_STRTAB, SHT_SYMTAB, Part
from oopsight.symbols.pack.kallsyms import Array, Kallsyms
from oopsight.symbols.pack.variables import variable_types

# A gap to the next symbol that is no symbol's size: between the per-CPU variables and the image.
_LARGEST_SYMBOL = 256 << 20
_SYMBOL_ROW = np.dtype(
    [
        ("name", "<u4"),
        ("info", "u1"),
        ("other", "u1"),
        ("section", "<u2"),
        ("value", "<u8"),
        ("size", "<u8"),
    ]
)
_SHN_ABS = 0xFFF1
_COMPATIBLE = b"__ia32_"
_GLOBAL, _WEAK = 1, 2
_OBJECT, _FUNC = 1, 2


@dataclass(frozen=True)
class Table:
    """The kernel's symbols by link-time address, which is the order of kallsyms."""

    kallsyms: Kallsyms
    offset: int
    """KASLR's, bytes."""
    compiled: Array | None = None
    """Sizes in bytes as they were compiled, 0 where unknown; kallsyms tells none."""
    linked: Array = field(init=False)
    sizes: Array = field(init=False)
    """As compiled; else the distance to the next symbol, and 0 of a label within a function."""
    _first: dict[bytes, int] = field(init=False)
    _last: dict[bytes, int] = field(init=False)

    def __post_init__(self) -> None:
        run_time = self.kallsyms.addresses
        moved = run_time >= np.uint64(KERNEL_IMAGE)
        linked = np.where(moved, run_time - np.uint64(self.offset), run_time)
        order = np.argsort(linked, kind="stable")
        if (order[1:] < order[:-1]).any():
            raise SymbolError("kallsyms is not in the order of addresses")
        names = self.kallsyms.strings.split(b"\0")[:-1]
        # The type's letter stands before each name.
        keys = [name[1:] for name in names]
        numbers = range(len(keys))
        object.__setattr__(self, "linked", linked)
        object.__setattr__(self, "sizes", self._sizes(keys))
        object.__setattr__(self, "_last", dict(zip(keys, numbers, strict=True)))
        reverse = zip(reversed(keys), reversed(numbers), strict=True)
        object.__setattr__(self, "_first", dict(reverse))

    def _sizes(self, keys: list[bytes]) -> Array:
        if self.compiled is None:
            labels = {name.encode() for name in variable_types().labels}
            inside = np.array([key in labels for key in keys], bool)
        else:
            ends = np.maximum.accumulate(self.linked + self.compiled)
            inside = np.append(False, ends[:-1] > self.linked[1:])
        distinct, index = np.unique(self.linked[~inside], return_inverse=True)
        gaps = np.append(np.diff(distinct), np.uint64(0))
        gaps[gaps > _LARGEST_SYMBOL] = 0
        sizes = np.zeros(len(self.linked), np.uint64)
        sizes[~inside] = gaps[index]
        if self.compiled is not None:
            sizes = np.where(self.compiled != 0, self.compiled, sizes)
        return sizes

    def find(self, name: str) -> tuple[int, int] | None:
        """Link-time address and size of a name, ``None`` unless it occurs exactly once."""
        key = name.encode()
        index = self._first.get(key)
        if index is None or self._last[key] != index:
            return None
        return int(self.linked[index]), int(self.sizes[index])

    def run_time(self, name: str) -> int | None:
        """Where it lies in the dump."""
        found = self.find(name)
        if found is None:
            return None
        return found[0] + self.offset if found[0] >= KERNEL_IMAGE else found[0]


def symbol_parts(table: Table) -> list[Part]:
    """The symbol table, local symbols first as ELF demands, each kind by address.

    Beside it an index by name: hashes in order, and the symbol of each.
    """
    kallsyms = table.kallsyms
    letters = kallsyms.types
    upper = (letters >= ord("A")) & (letters <= ord("Z"))
    weak = np.isin(letters, np.frombuffer(b"wWvV", np.uint8))
    code = np.isin(letters, np.frombuffer(b"tTwW", np.uint8))
    # Of the two names of a system call that takes the same from 32-bit programs, the native one.
    names = kallsyms.strings.split(b"\0")[:-1]
    other = np.array([name.startswith(_COMPATIBLE, 1) for name in names], bool)
    order = np.lexsort((other, table.linked, upper | weak))
    rows = np.zeros(len(order) + 1, _SYMBOL_ROW)
    rows["name"][1:] = kallsyms.starts[order]
    binding = np.where(weak, _WEAK, np.where(upper, _GLOBAL, 0)) << 4
    rows["info"][1:] = (binding | np.where(code, _FUNC, _OBJECT))[order]
    rows["section"][1:] = _SHN_ABS
    rows["value"][1:] = table.linked[order]
    rows["size"][1:] = table.sizes[order]
    hashes = _hashes(kallsyms)[order]
    by_hash = np.argsort(hashes, kind="stable")
    local = int((~(upper | weak)).sum()) + 1
    return [
        Part(
            ".symtab",
            rows.tobytes(),
            SHT_SYMTAB,
            link=".strtab",
            info=local,
            entry_size=_SYMBOL_ROW.itemsize,
            align=8,
        ),
        # Offset 0 is a type's letter that no symbol's name begins at; ELF wants NUL there.
        Part(".strtab", b"\0" + kallsyms.strings[1:], SHT_STRTAB),
        Part(lookup.HASHES, hashes[by_hash].astype("<u4").tobytes(), align=4),
        Part(lookup.BY_HASH, (by_hash + 1).astype("<u4").tobytes(), align=4),
    ]


def _hashes(kallsyms: Kallsyms) -> Array:
    """:func:`oopsight.symbols.lookup.name_hash` of every name."""
    text = np.frombuffer(kallsyms.strings, np.uint8).astype(np.uint32)
    ends = np.append(kallsyms.starts[1:] - 2, len(text) - 1)
    lengths = ends - kallsyms.starts
    factors = np.full(int(lengths.max()) + 1, lookup.HASH_FACTOR, np.uint32)
    powers = np.cumprod(factors, dtype=np.uint32)
    owner_start = np.zeros(len(text), np.int64)
    owner_start[kallsyms.starts] = kallsyms.starts
    position = np.arange(len(text)) - np.maximum.accumulate(owner_start)
    # NUL and the letter before the next name count nothing.
    text[np.clip(ends, 0, len(text) - 1)] = 0
    text[kallsyms.starts - 1] = 0
    weighted = text * powers[np.minimum(position, len(powers) - 1)]
    return np.add.reduceat(weighted, kallsyms.starts, dtype=np.uint32)

"""Make a pack of the kernel from a dump's memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from oopsight.dump.info import VmcoreInfo
from oopsight.errors import SymbolError
from oopsight.symbols import lookup
from oopsight.symbols.lookup import KERNEL_IMAGE
from oopsight.symbols.pack import btf as b
from oopsight.symbols.pack.btf import Btf, parse_btf
from oopsight.symbols.pack.dwarf import Writer
from oopsight.symbols.pack.elf_image import (
    ET_EXEC,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHT_NOTE,
    SHT_STRTAB,
    SHT_SYMTAB,
    Part,
    elf_image,
    note,
)
from oopsight.symbols.pack.kallsyms import Array, Kallsyms, Read, read_kallsyms
from oopsight.symbols.pack.variables import add_variables, variable_types
from oopsight.symbols.seal import PACK_NOTE, sealed

_LARGEST_SECTION = 128 << 20
_NT_BUILD_ID = 3
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


class NoTypesError(SymbolError):
    """The dump holds no BTF."""


@dataclass(frozen=True)
class Table:
    """The kernel's symbols by link-time address, which is the order of kallsyms."""

    kallsyms: Kallsyms
    offset: int
    """KASLR's, bytes."""
    linked: Array = field(init=False)
    sizes: Array = field(init=False)
    """Distance to the next address that has a symbol; 0 of a label within a function."""
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
        labels = {name.encode() for name in variable_types().labels}
        inside = np.array([key in labels for key in keys], bool)
        distinct, index = np.unique(linked[~inside], return_inverse=True)
        gaps = np.append(np.diff(distinct), np.uint64(0))
        gaps[gaps > _LARGEST_SYMBOL] = 0
        sizes = np.zeros(len(linked), np.uint64)
        sizes[~inside] = gaps[index]
        object.__setattr__(self, "linked", linked)
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "_last", dict(zip(keys, numbers, strict=True)))
        reverse = zip(reversed(keys), reversed(numbers), strict=True)
        object.__setattr__(self, "_first", dict(reverse))

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


def build_pack(read: Read, info: VmcoreInfo) -> bytes:
    """Make the pack of a dump's kernel.

    :raises SymbolError: if the dump lacks a part, which the message names
    :raises SymbolError: if a page of them is not in the dump
    """
    if not info.build_id:
        raise SymbolError("VMCOREINFO has no build ID, as kernels have since 5.9")
    table = Table(read_kallsyms(read, info.symbol), info.kaslr_offset or 0)
    types = parse_btf(contents(read, table, "BTF"))
    writer = Writer(types)
    _per_cpu_variables(writer, types, table)
    _functions(writer, types, table)
    untyped = add_variables(writer, types, table, info.get("OSRELEASE"))
    dwarf = writer.sections()
    parts = [
        *_landmarks(table, info.build_id),
        *(Part(name, data) for name, data in dwarf.items()),
        *_unwinding(read, table),
        *symbol_parts(table),
        Part(lookup.UNTYPED, "\n".join(untyped).encode()),
    ]
    text, end = table.find("_text"), table.find("_end")
    if text is None or end is None:
        raise SymbolError("kallsyms has no _text or _end")
    return sealed(elf_image(parts, (text[0], end[0] - text[0]), kind=ET_EXEC))


def contents(read: Read, table: Table, section: str) -> bytes:
    """Contents of a section that the linker script brackets with symbols."""
    start, stop = table.run_time(f"__start_{section}"), table.run_time(f"__stop_{section}")
    if start is None or stop is None:
        raise NoTypesError(f"the kernel holds no {section} (CONFIG_DEBUG_INFO_BTF)")
    if not 0 < stop - start <= _LARGEST_SECTION:
        raise SymbolError(f"{section} would be {stop - start} bytes")
    return read(start, stop - start)


def _per_cpu_variables(writer: Writer, types: Btf, table: Table) -> None:
    """The variables that BTF lists, which are the per-CPU ones."""
    start = table.find("__per_cpu_start")
    if start is None:
        return
    for row in types.rows(b.DATASEC).tolist():
        if types.name(int(types.name_at[row])) != ".data..percpu":
            continue
        first = int(types.at[row]) + 3
        entries = types.words[first : first + 3 * int(types.vlen[row])].reshape(-1, 3)
        numbers = entries[:, 0].astype(np.int64) - types.first
        numbers = numbers[(numbers >= 0) & (numbers < len(types.kind))]
        if (types.kind[numbers] != b.VAR).any():
            raise SymbolError("BTF: a section lists what is no variable")
        places = [writer.place(int(number)) for number in types.ref[numbers].tolist()]
        at = entries[:, 1].astype(np.uint64) + np.uint64(start[0])
        writer.add_variables(types.name_at[numbers].tolist(), places, at)


def _functions(writer: Writer, types: Btf, table: Table) -> None:
    """The functions that BTF lists and kallsyms has under one address."""
    rows, at = [], []
    names = types.name_at
    for row in types.rows(b.FUNC).tolist():
        found = table.find(types.name(int(names[row])))
        if found is not None:
            rows.append(row)
            at.append(found[0])
    writer.add_functions(np.array(rows, np.int64), np.array(at, np.uint64))


def _unwinding(read: Read, table: Table) -> list[Part]:
    """ORC, as ``objtool`` writes it; its references are relative to where it lies."""
    parts = []
    for name in ("orc_unwind_ip", "orc_unwind", "orc_header"):
        start, stop = table.find(f"__start_{name}"), table.find(f"__stop_{name}")
        if start is None or stop is None or not 0 < stop[0] - start[0] <= _LARGEST_SECTION:
            continue  # the header came with Linux 6.4; without ORC frame pointers are followed
        data = read(start[0] + table.offset, stop[0] - start[0])
        parts.append(Part(f".{name}", data, flags=SHF_ALLOC, address=start[0], align=4))
    return parts


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


def _landmarks(table: Table, build_id: str) -> list[Part]:
    """What drgn recognises the kernel's image by."""
    parts = [
        Part(
            ".note.gnu.build-id",
            note(b"GNU", _NT_BUILD_ID, bytes.fromhex(build_id)),
            SHT_NOTE,
            align=4,
        ),
        Part(".note.oopsight", PACK_NOTE, SHT_NOTE, align=4),
    ]
    start = table.find("_sinittext")
    if start is not None:
        # With contents (not SHT_NOBITS), or drgn takes it for a stripped file's and moves the
        # per-CPU variables.
        flags = SHF_ALLOC | SHF_EXECINSTR
        parts.append(Part(".init.text", bytes(16), flags=flags, address=start[0]))
    return parts

"""The kernel's own symbol table, ``kallsyms``, as it lies in memory (kernel/kallsyms.c).

Names are compressed: each is a length and that many bytes, each byte standing for a string in the
token table. The first character of an expanded name is the symbol's type as ``nm`` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oopsight.errors import SymbolError

Read = Callable[[int, int], bytes]
"""Reads kernel memory: virtual address, bytes; raises ``SymbolError``."""
Symbol = Callable[[str], "int | None"]
"""Run-time address of a symbol that VMCOREINFO names."""
Places = Mapping[str, int]
"""Run-time addresses of the tables by name, without ``kallsyms_``."""

Array = np.ndarray[Any, Any]

# Distributions' kernels have 100,000 to 300,000; an allyesconfig one a million.
_MOST_SYMBOLS = 1 << 22
_MOST_NAME_BYTES = 64 << 20
_MOST_EXPANDED = 256 << 20
_NAME_CHUNK = 1 << 20
_LONGEST_NAME = 1 << 15
_LONGEST_TOKEN_TABLE = 1 << 16
_NUL = 256
_NEEDED = ("num_syms", "names", "token_table", "token_index", "offsets")
_RELATIVE_BASE = "relative_base"
"""Gone from kernels whose offsets are relative to their own places."""


class NoKallsymsError(SymbolError):
    """The dump's symbol table is not found, or makes no sense."""


@dataclass(frozen=True)
class Kallsyms:
    """All symbols in the table's order, which is by link-time address."""

    addresses: Array
    """Run-time addresses, ``uint64``; those of per-CPU variables may be offsets from 0."""
    types: Array
    """``nm``'s letters as ``uint8``; upper case is global."""
    strings: bytes
    """All names, each ended by NUL."""
    starts: Array
    """Of each name in ``strings``, ``int64``."""

    def name(self, index: int) -> str:
        """One name."""
        start = int(self.starts[index])
        return self.strings[start : self.strings.index(b"\0", start)].decode("ascii", "replace")


def named_places(symbol: Symbol) -> Places | None:
    """Where VMCOREINFO says that the tables are, as it does since Linux 6.0."""
    where = {name: symbol(f"kallsyms_{name}") for name in (*_NEEDED, _RELATIVE_BASE)}
    found = {name: address for name, address in where.items() if address is not None}
    return found if all(name in found for name in _NEEDED) else None


def read_kallsyms(read: Read, places: Places) -> Kallsyms:
    """Read and expand the table.

    :raises NoKallsymsError: if the tables are damaged
    :raises SymbolError: if a page of them is not in the dump
    """
    count = int.from_bytes(read(places["num_syms"], 4), "little")
    if not 0 < count <= _MOST_SYMBOLS:
        raise NoKallsymsError(f"kallsyms_num_syms is {count}")
    tokens = _tokens(read, places)
    codes, lengths = _codes(read, places["names"], count)
    strings, starts = _expand(codes, lengths, tokens)
    addresses = _addresses(read, places["offsets"], places.get(_RELATIVE_BASE), count)
    types = np.frombuffer(strings, np.uint8)[starts]
    return Kallsyms(addresses, types, strings, starts + 1)


def _tokens(read: Read, where: Places) -> list[bytes]:
    index = np.frombuffer(read(where["token_index"], 512), "<u2")
    # The last token's end is known only by its NUL.
    end = int(index.max())
    table = read(where["token_table"], end + 1)
    while table[-1]:
        if len(table) > _LONGEST_TOKEN_TABLE:
            raise NoKallsymsError("the token table has no end")
        table += read(where["token_table"] + len(table), 1)
    tokens = [table[start : table.index(b"\0", start)] for start in index.tolist()]
    if any(len(token) > 512 for token in tokens):
        raise NoKallsymsError("the token table is damaged")
    return tokens


def _codes(read: Read, address: int, count: int) -> tuple[Array, Array]:
    """Token numbers of all names, and how many belong to each."""
    data = bytearray(_as_much(read, address, _NAME_CHUNK))
    starts, lengths = [], []
    at, wanted = 0, _NAME_CHUNK
    for _ in range(count):
        # A length takes one byte, or two (ULEB128) since Linux 6.1 (commit 73bbb94466fd).
        if wanted - at < _LONGEST_NAME and len(data) == wanted:
            if wanted > _MOST_NAME_BYTES:
                raise NoKallsymsError("the names have no end")
            data += _as_much(read, address + wanted, _NAME_CHUNK)
            wanted += _NAME_CHUNK
        if at + 2 > len(data):
            raise NoKallsymsError("the names are cut off")
        length = data[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | data[at] << 7
            at += 1
        starts.append(at)
        lengths.append(length)
        at += length
    if at > len(data):
        raise NoKallsymsError("the names are cut off")
    start, length_of = np.array(starts, np.int64), np.array(lengths, np.int64)
    if not length_of.all():
        raise NoKallsymsError("a symbol has no name")
    ends = np.cumsum(length_of)
    gather = np.repeat(start - (ends - length_of), length_of) + np.arange(ends[-1])
    return np.frombuffer(bytes(data), np.uint8)[gather], length_of


def _as_much(read: Read, address: int, size: int) -> bytes:
    """Read ``size`` bytes, or as many as there are before the first page that is missing."""
    try:
        return read(address, size)
    except SymbolError:
        parts = []
    end = address + size
    while address < end:
        part = min(4096 - (address & 4095), end - address)
        try:
            parts.append(read(address, part))
        except SymbolError:
            break
        address += part
    return b"".join(parts)


def _expand(codes: Array, lengths: Array, tokens: list[bytes]) -> tuple[bytes, Array]:
    """All names with their type letters and a NUL behind each, and where they begin."""
    table = np.frombuffer(b"".join([*tokens, b"\0"]), np.uint8)
    sizes = np.array([len(token) for token in tokens] + [1], np.int32)
    begins = np.cumsum(sizes) - sizes
    # One more code behind each name, for the NUL.
    ends = np.cumsum(lengths + 1)
    with_nul = np.full(int(ends[-1]), _NUL, np.int16)
    inside = np.ones(len(with_nul), bool)
    inside[ends - 1] = False
    with_nul[inside] = codes
    size_of = sizes[with_nul]
    written = np.cumsum(size_of)
    total = int(written[-1])
    if total > _MOST_EXPANDED:
        raise NoKallsymsError("the names are endless")
    source = np.repeat((begins[with_nul] - (written - size_of)).astype(np.int32), size_of)
    source += np.arange(total, dtype=np.int32)
    strings = table[source].tobytes()
    starts = np.concatenate(([0], written[ends[:-1] - 1]))
    return strings, starts.astype(np.int64)


def _addresses(read: Read, offsets: int, base_at: int | None, count: int) -> Array:
    raw = np.frombuffer(read(offsets, 4 * count), "<i4").astype(np.int64)
    result: Array
    if base_at is None:
        # Each offset is relative to its own place since the relative base is gone.
        place = (raw + np.arange(count) * 4).astype(np.uint64)
        result = place + np.uint64(offsets)
        return result
    base = int.from_bytes(read(base_at, 8), "little")
    if (raw < 0).any():
        # CONFIG_KALLSYMS_ABSOLUTE_PERCPU: not negative is absolute, negative is base - 1 - offset.
        relative = (-1 - raw).astype(np.uint64) + np.uint64(base)
        result = np.where(raw >= 0, raw.astype(np.uint64), relative)
        return result
    result = (raw & 0xFFFFFFFF).astype(np.uint64) + np.uint64(base)
    return result

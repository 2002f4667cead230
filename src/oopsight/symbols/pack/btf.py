"""BTF, the type information that a kernel carries (Documentation/bpf/btf.rst), as arrays.

The records have different lengths and refer to each other by number, so one pass finds where each
begins; everything else is done on whole columns.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oopsight.errors import SymbolError

Array = np.ndarray[Any, Any]

MAGIC = 0xEB9F
(INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT) = range(1, 12)
(FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64) = range(12, 20)
# Words behind a record's first three: fixed, and for each of its vlen members.
_FIXED = {INT: 1, ARRAY: 3, VAR: 1, DECL_TAG: 1}
_EACH = {STRUCT: 3, UNION: 3, ENUM: 2, FUNC_PROTO: 2, DATASEC: 3, ENUM64: 3}
_KNOWN = ENUM64
_MOST_BYTES = 256 << 20


class BadBtfError(SymbolError):
    """The type information is not what its header announces."""


@dataclass(frozen=True)
class Btf:
    """Types numbered from ``first``; number 0 is ``void``, smaller ones are the base's."""

    words: Array
    """The type section, ``uint32``."""
    at: Array
    """Index into ``words`` of each record, ``int64``."""
    strings: bytes
    first: int = 1
    """Number of the first type here; more than 1 in the split BTF of a module."""
    string_base: int = 0
    """Name offsets from here on lie in ``strings``, smaller ones in the base's."""
    name_at: Array = field(init=False, repr=False)
    kind: Array = field(init=False, repr=False)
    vlen: Array = field(init=False, repr=False)
    kflag: Array = field(init=False, repr=False)
    ref: Array = field(init=False, repr=False)
    """Third word: a type number or a size in bytes, by kind."""

    def __post_init__(self) -> None:
        info = self.words[self.at + 1] if len(self.at) else np.zeros(0, np.uint32)
        columns = {
            "name_at": self.words[self.at],
            "kind": (info >> 24 & 0x1F).astype(np.uint8),
            "vlen": (info & 0xFFFF).astype(np.int64),
            "kflag": info >> 31 != 0,
            "ref": self.words[self.at + 2],
        }
        for name, column in columns.items():
            object.__setattr__(self, name, column)

    def rows(self, *kinds: int) -> Array:
        """Positions (number minus ``first``) of the types of some kinds, ascending."""
        return np.flatnonzero(np.isin(self.kind, kinds))

    def name(self, offset: int) -> str:
        """The string at an offset in ``strings``."""
        return self.strings[offset : self.strings.index(b"\0", offset)].decode("utf-8", "replace")


def parse_btf(data: bytes, base: Btf | None = None) -> Btf:
    """Find the records, checking that they fill the type section and refer to what there is.

    :param base: the kernel's own BTF, where ``data`` is a module's
    :raises BadBtfError: if it is malformed, or of a newer form
    """
    if len(data) < 24:
        raise BadBtfError("BTF: cut off")
    magic, version, _, header = struct.unpack_from("<HBBI", data)
    if magic != MAGIC or version != 1 or not 24 <= header <= len(data):
        raise BadBtfError(f"BTF: no header of version 1 ({data[:4].hex()})")
    type_at, type_size, string_at, string_size = struct.unpack_from("<IIII", data, 8)
    if (
        header + max(type_at + type_size, string_at + string_size) > len(data)
        or len(data) > _MOST_BYTES
        or type_size % 4
    ):
        raise BadBtfError("BTF: its sections do not lie within it")
    strings = data[header + string_at : header + string_at + string_size]
    if strings and strings[-1]:
        raise BadBtfError("BTF: the strings have no end")
    words = np.frombuffer(data, "<u4", type_size // 4, header + type_at)
    at = _records(words)
    first = base.first + len(base.at) if base else 1
    string_base = base.string_base + len(base.strings) if base else 0
    result = Btf(words, at, strings, first, string_base)
    if len(at) and int(result.name_at.max()) >= string_base + len(strings):
        raise BadBtfError("BTF: a name lies outside of the strings")
    return result


def _records(words: Array) -> Array:
    extra = [_FIXED.get(kind, 0) for kind in range(32)]
    each = [_EACH.get(kind, 0) for kind in range(32)]
    values = words.tolist()
    at, end = 0, len(values)
    found = []
    try:
        while at < end:
            found.append(at)
            info = values[at + 1]
            kind = info >> 24 & 0x1F
            if not 0 < kind <= _KNOWN:
                raise BadBtfError(f"BTF: kind {kind} is unknown here (a newer kernel's)")
            at += 3 + extra[kind] + each[kind] * (info & 0xFFFF)
    except IndexError:
        at = end + 1
    if at != end:
        raise BadBtfError("BTF: the last type is cut off")
    return np.array(found, np.int64)

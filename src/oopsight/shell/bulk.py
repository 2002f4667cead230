"""Some members of a struct, read of ten thousands of objects: bytes taken apart."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drgn import Program, Type

_GAP = 4096
"""Bytes between two members that are read with them rather than apart: a read costs 3 us."""
_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}


class Fields:
    """Members of one kind of struct."""

    def __init__(
        self, prog: Program, type_name: str, members: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Find where the members are.

        :param members: by a name of the caller's, the member's path (``thread_info.cpu``) and those
            that it has in other kernels; integers, pointers and arrays of ``char``
        :raises LookupError: if the type, or one of the members under all its names, is absent
        """
        self._read = prog.read
        type_ = prog.type(type_name)
        places = sorted((*_place(type_, paths), name) for name, paths in members.items())
        spans: list[list[tuple[int, int, str, str]]] = []
        for place in places:
            if not spans or place[0] > spans[-1][-1][0] + spans[-1][-1][1] + _GAP:
                spans.append([])
            spans[-1].append(place)
        self._spans = []
        for span in spans:
            start = end = span[0][0]
            layout = "<"
            for offset, size, code, _ in span:
                layout += f"{offset - end}x{code}"
                end = offset + size
            self._spans.append((start, end - start, struct.Struct(layout).unpack))
        found = [place[3] for place in places]
        self._order = itemgetter(*(found.index(name) for name in members))

    def read(self, address: int) -> tuple[Any, ...]:
        """The values of one object, in the order in which the members were named; ``char[]`` raw.

        :raises drgn.FaultError: if any of it cannot be read
        """
        values: tuple[Any, ...] = ()
        for start, size, unpack in self._spans:
            values += unpack(self._read(address + start, size))
        found: tuple[Any, ...] = self._order(values)
        return found


def _place(type_: Type, paths: tuple[str, ...]) -> tuple[int, int, str]:
    """Offset, size and code for :mod:`struct` of the first member that the type has."""
    for path in paths:
        try:
            return _member(type_, path)
        except LookupError:
            continue
    raise LookupError(f"{type_.type_name()} has no member {' or '.join(paths)}")


def _member(type_: Type, path: str) -> tuple[int, int, str]:
    from drgn import TypeKind

    offset = 0
    for name in path.split("."):
        member = _plain(type_).member(name)
        if member.bit_field_size is not None:
            raise LookupError(f"{path} is a bit field")
        offset += member.bit_offset // 8
        type_ = _plain(member.type)
    size = type_.size if type_.kind != TypeKind.ARRAY else type_.length or 0
    if type_.kind == TypeKind.ARRAY:
        return offset, size, f"{size}s"
    if size not in _CODES or type_.kind in (TypeKind.STRUCT, TypeKind.UNION):
        raise LookupError(f"{path} is no number")
    code = _CODES[size]
    if type_.kind == TypeKind.INT and type_.is_signed:
        return offset, size, code
    return offset, size, code.upper()


def _plain(type_: Type) -> Type:
    from drgn import TypeKind

    while type_.kind == TypeKind.TYPEDEF:
        type_ = type_.type
    return type_

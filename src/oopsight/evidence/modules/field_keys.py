"""One field, and how each function of a module comes to it.

The code names a field by its distance from a pointer. A function may have come to the object from
an outer one that it is part of, or from a member of it, as ``container_of()`` does; a variable is
named by its address, or as what an argument points to; a per-CPU variable by how far it is from
where the CPU's area begins. So a field has several keys: by all of them it is looked for, and where
a function takes a lock beside it, by its distance from the lock. All entries of a table have the
key of the first.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.operand_keys import (
    MASK,
    PLACE,
    displacement,
    in_table,
    key_of,
)
from oopsight.evidence.modules.stored_numbers import BYTES
from oopsight.kernel.addresses import signed
from oopsight.plumbing import base_name

_LARGEST_OBJECT = 1 << 16
_AREA = 64
"""An area within an object that is an object of its own begins at least so far in it."""
_PRIVATE = 0x400
"""No smaller is what the kernel has in front of a driver's own, in one object."""
_ALIGNED = 32
"""A network device's own begins at a multiple of this: include/linux/netdevice.h."""
_SIZE = re.compile(r"\b(byte|word|dword|qword) ptr ")
_DEVICES = {
    "device": "",
    **dict.fromkeys(("platform_device", "pci_dev", "i2c_client", "spi_device"), "dev."),
    **dict.fromkeys(("virtio_device", "usb_interface", "auxiliary_device", "hid_device"), "dev."),
}
"""Devices of the buses, and how to get to the ``struct device`` in them."""


class Layout(NamedTuple):
    """Of the kernel's structures."""

    driver_data: frozenset[int]
    """Where drivers find what is theirs, from ``struct device`` and from what that is part of."""
    heads: frozenset[int]
    """Sizes of what lies before a driver's own, as a ``struct net_device`` does."""


UNKNOWN = Layout(frozenset(), frozenset())


class FieldKeys:
    """The keys of the field that a way's value was read from."""

    def __init__(self, way: Way, uses: dict[str, FieldUse], known: Layout = UNKNOWN) -> None:
        self._text = text_key(way)
        self._reader = uses.get(base_name(way.function))
        self._table = _table(way)
        self._named = frozenset[int]().union(*(use.inner for use in uses.values()))
        self._in_variable = way.held_in is not None and way.held_in.kind == "module"
        private = _private(way, self._text, uses, known.heads)
        self._read_by = {field_key(way), self._text, *private} - {None}
        self._known = [*_known(way, self._text, self._reader), *private]
        other = way.held_in is None or _by_kernel(way, self._text)
        if other and self._text in known.driver_data:
            self._known += sorted(known.driver_data - {self._text})

    def of(self, use: FieldUse) -> int | None:
        """The key by which a function has the field; ``None`` where the field has none."""
        if self._table is not None:
            first, entry = self._table
            begins = [key for key in use.tables if first <= key <= entry]
            if begins:
                return max(begins)
        usual = self._known[0] if self._known else None
        return next((key for key in self.candidates(use) if key in use.touches), usual)

    def candidates(self, use: FieldUse) -> tuple[int, ...]:
        """All keys by which a function may have it, the likeliest first."""
        beside = [*self._beside_lock(use), *self._beside_member(use)]
        apart = self._reader is not None and not self._reader.locks & use.locks
        # Where their locks are at other distances, so is everything else.
        return (*beside, *self._known) if apart else (*self._known, *beside)

    def all_of(self, use: FieldUse) -> set[int]:
        """The keys by which a function may have the field; the one that read it, as it did."""
        own = {self._text} if self._reader is use else set()
        return {key for key in (self.of(use), *own) if key is not None}

    def compared(self, use: FieldUse) -> bool:
        """Whether a function compares with NULL what the field holds.

        By the keys that the reader's own code has: any other offset is often another object's.
        """
        return not use.checks.isdisjoint(self._read_by)

    def _beside_lock(self, use: FieldUse) -> list[int]:
        """Keys that are as far from a lock which the function takes as from one of the reader's."""
        if self._reader is None or self._text is None:
            return []
        return [
            (self._text - mine + its) & MASK
            for mine in sorted(self._reader.locks)
            for its in sorted(use.locks)
        ]

    def _beside_member(self, use: FieldUse) -> list[int]:
        """Keys that are as far before a member which a function names as before the reader's.

        That had a pointer to the member alone, as a callback has. Where what it is in is one of a
        variable's, how far the field is from its beginning is not known otherwise. Of a function
        that names none, any member may be it that others name.
        """
        if not self._in_variable or self._text is None or signed(self._text) >= 0:
            return []
        far = (one + signed(self._text) for one in sorted(use.inner or self._named))
        return [one for one in far if 0 <= one < _LARGEST_OBJECT]


def layout(prog: Any) -> Layout:
    """Read it from the kernel's debug information."""
    from drgn import offsetof, sizeof

    found = set()
    for name, way in _DEVICES.items():
        device = _type(prog, name)
        if device is not None:  # not each kernel knows each bus
            found.add(offsetof(device, f"{way}driver_data"))
    net_device = _type(prog, "net_device")
    size = sizeof(net_device) if net_device is not None else 0
    return Layout(frozenset(found), frozenset({-(-size // _ALIGNED) * _ALIGNED} - {0}))


def _type(prog: Any, name: str) -> Any:
    from oopsight.errors import SymbolError

    try:
        found = prog.type(f"struct {name}")
    except (LookupError, SymbolError):
        return None
    return found if found.is_complete() else None


def field_key(way: Way) -> int | None:
    """The field that a way's value was read from, as the code that read it names it.

    Of a variable its address.
    """
    if way.ended == "loaded" and way.held_in is not None and way.held_in.kind == "module":
        return int(way.held_in.address)
    return text_key(way)


def text_key(way: Way) -> int | None:
    """How far from the pointer it was read through a way's value was; or from the CPU's area."""
    if way.ended != "loaded" or way.end is None:
        return None
    read = way.end.instruction
    operands = read.text.partition(" ")[2].split(", ")
    place = next((one for one in operands[::-1] if one.endswith("]")), "")
    found = PLACE.fullmatch(place)
    if found is None or found["base"] != "rip" or "gs:" not in place:
        return key_of(place)
    return (int(read.address) + len(read.bytes) // 2 + displacement(found)) & MASK


def size_read(way: Way) -> int | None:
    """How many bytes a way's value was read from."""
    if way.ended != "loaded" or way.end is None:
        return None
    found = _SIZE.search(way.end.instruction.text)
    return BYTES[found[1]] if found is not None else None


def _by_kernel(way: Way, text: int | None) -> bool:
    """Whether the kernel read it from a structure within an object, of which it has the pointer.

    The module that the object is of has it by the distance from the object.
    """
    held = way.held_in
    inner = held is not None and held.kind == "slab" and held.offset not in (None, text)
    return inner and way.module is None


def _private(
    way: Way, text: int | None, uses: dict[str, FieldUse], heads: frozenset[int]
) -> list[int]:
    """Keys from where what is the driver's own begins, behind what is the kernel's.

    Any function of the module may tell how far that is. A lock whose address one takes is a member.
    """
    held = way.held_in
    offset = held.offset if held is not None and held.kind == "slab" else text
    if offset is None or offset >= _LARGEST_OBJECT:
        return []
    starts = heads.union(*(use.inner - use.locks for use in uses.values()))
    return [offset - far for far in sorted(starts) if _PRIVATE <= far <= offset]


def _table(way: Way) -> tuple[int, int] | None:
    """Keys between which a table begins from an entry of which a way's value was read.

    From that of what the table is in to that of the entry. A loop has a pointer to each entry.
    """
    held = way.held_in
    if way.end is None or held is None or held.offset is None:
        return None
    stepping = text_key(way) == 0 < held.offset
    if not stepping and not in_table(way.end.instruction.text.partition(", ")[2]):
        return None
    if held.kind == "module":
        return int(held.address) - held.offset, int(held.address)
    return (0, held.offset) if held.kind == "slab" else None


def _known(way: Way, text: int | None, reader: FieldUse | None) -> list[int]:
    """Keys that any function may have the field by, the likeliest first."""
    held = way.held_in
    found = [] if _by_kernel(way, text) else [field_key(way), text]
    if held is not None and held.kind in ("slab", "module") and held.offset is not None:
        found.append(held.offset)
        if held.kind == "module" and text is not None:
            # The same field of an array's first element, from which a loop goes on.
            found.append(int(held.address) - held.offset + text)
    if text is not None and text < _LARGEST_OBJECT and reader is not None:
        found += [text - far for far in sorted(reader.inner - reader.locks) if _AREA <= far <= text]
    return [key for key in dict.fromkeys(found) if key is not None]

"""Whose an object is, by what shows it in memory.

The entry of a list or hash chain that lies in it leads back, entry by entry, to a head in a
module's data; a module has its very address, in a variable, or in a table or object that a variable
points to; it names a function of a module; or it begins with what a module's data holds.
"""

from __future__ import annotations

import array
import itertools
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass, replace
from oopsight.errors import SymbolError
from oopsight.evidence import Address
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.modules.module_roles import holding_variables
from oopsight.evidence.modules.modules import Module, Modules, contents
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session, read_word
from oopsight.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from oopsight.evidence.memory.owner import Owner, SlabObject

_MOST_ENTRIES = 1024
_MOST_MODULES = 16
_MOST_TABLES = 64
_MOST_DATA = 1 << 20
_LARGEST = 4096
_LARGEST_TABLE = 1 << 16
_LEAST_COPY, _LEAST_DIFFERENT = 24, 8
_PAGE = 4096
_SHOWN = 64
_WORD = 8
_KERNEL_HALF = 1 << 63
_IMAGE = 0xFFFFFFFF80000000
"""Where the kernel's own code and data begin, on x86-64."""


@dataclass(frozen=True)
class Claim:
    """What says that an object is a module's."""

    module: Module
    text: str
    memory: BytesPointer
    place: int | None = None
    """Where in the object that lies, of what lies in it."""


def claim_of(
    session: Session, modules: Modules, one: SlabObject, field: int, users: Collection[str]
) -> Claim | None:
    """Whose an object is, if not one of its users'.

    They may still have its address. That it is on the list of one, or names its functions, tells
    that it is a user's.

    :param field: address of what was read from it
    :param users: names of modules
    """
    length = field + _WORD - one.address
    on_list = list(_heads(session, modules, one))
    named = [] if on_list else list(_named(session, modules, one))
    if any(claim.module.name in users for claim in (*on_list, *named)):
        return None
    held = (claim for claim in _held(session, modules, one) if claim.module.name not in users)
    found = next(itertools.chain(on_list, held, named), None)
    if found is not None:
        return found
    copied = list(_copied(session, modules, one, length))
    return None if any(claim.module.name in users for claim in copied) else next(iter(copied), None)


def held_by(
    session: Session, modules: Modules, one: SlabObject, users: Collection[str]
) -> Claim | None:
    """The module other than its users that has the very address of an object.

    Whatever it names still: what is written to of memory that was given away is not all of it.
    """
    held = _held(session, modules, one)
    return next((claim for claim in held if claim.module.name not in users), None)


def owner_of_object(session: Session, modules: Modules, one: SlabObject) -> str | None:
    """The module whose an object is, by the first claim to it."""
    claim = claim_of(session, modules, one, int(one.address), ())
    return claim.module.name if claim is not None else None


def _named(session: Session, modules: Modules, one: SlabObject) -> Iterator[Claim]:
    """Modules of which functions are named in an object."""
    reader = SessionReader(session)
    for reference in one.refers:
        known = reader.code_symbol(reference.value)
        if known is not None and known[1] == reference.value:
            text = f"it names {reference.symbol} of {reference.module}"
            named = (m for m in modules.loaded if m.name == reference.module and m.taints)
            place = reference.memory.address - one.address
            yield from (Claim(module, text, reference.memory, place) for module in named)


def _copied(session: Session, modules: Modules, one: SlabObject, length: int) -> Iterator[Claim]:
    """Modules whose data has what an object begins with, but not what lies before the object."""
    data = _read_some(session, one.address - _WORD, length + _WORD)
    before, begin = data[:_WORD], data[_WORD:]
    if len(begin) < max(length, _LEAST_COPY) or len(set(begin)) < _LEAST_DIFFERENT:
        return
    for module in modules.loaded:
        for start, there in contents(session, module) if module.taints else ():
            at = there.find(begin)
            if at >= 0 and not (any(before) and there[max(0, at - _WORD) : at] == before):
                memory = BytesPointer(Address(start + at), begin[:_SHOWN].hex())
                name = _name(session, start + at)
                yield Claim(module, f"it begins with what {name} of {module.name} holds", memory)


def _held(session: Session, modules: Modules, one: SlabObject) -> Iterator[Claim]:
    """Modules that have the very address of an object, in a variable or one pointer further."""
    for module, _, name, memory in holding_variables(
        session, modules, one.address, one.address + 1
    ):
        yield Claim(module, f"the variable {name} of {module.name} has its address", memory)
    for module in [m for m in modules.loaded if m.taints][:_MOST_MODULES]:
        found = _in_tables(session, modules, module, int(one.address))
        if found is not None:
            where = f"what the variable {_name(session, found[0])} of {module.name} points to"
            yield Claim(module, f"{where} has its address", found[1])
        chained = _in_chain(session, modules, module, one)
        if chained is not None:
            name = _name(session, chained[0])
            text = f"it is in the chain that the variable {name} of {module.name} begins"
            yield Claim(module, text, chained[1])


def _in_chain(
    session: Session, modules: Modules, module: Module, one: SlabObject
) -> tuple[int, BytesPointer] | None:
    """The variable, and where the object before holds an address, each leading to the next.

    All are objects of one cache, and have the pointer at the same place.
    """
    for at, first in itertools.islice(_pointers(session, modules, module), _MOST_TABLES):
        slab = owner_of(session, modules, first).slab if first != one.address else None
        if slab is None or slab.address != first or slab.cache_address != one.cache_address:
            continue
        words = array.array("Q", _read_some(session, first, min(slab.size, _LARGEST)))
        for number, value in enumerate(words):
            alike = value > _KERNEL_HALF and value != first and (value - first) % 8 == 0
            last = _follow(session, value, 8 * number, int(one.address)) if alike else None
            if last is not None:
                there = BytesPointer(Address(last), int(one.address).to_bytes(8, "little").hex())
                return at, there
    return None


def _follow(session: Session, at: int, offset: int, wanted: int) -> int | None:
    """Where a chain of pointers at an offset holds an address, from an object on."""
    for _ in range(_MOST_ENTRIES):
        after = read_word(session, at + offset) if at > _KERNEL_HALF and at % 8 == 0 else None
        if after is None or after == wanted:
            return at + offset if after == wanted else None
        at = after
    return None


def _in_tables(
    session: Session, modules: Modules, module: Module, wanted: int
) -> tuple[int, BytesPointer] | None:
    """The variable, and where what it points to holds an address; that may be a table."""
    data = wanted.to_bytes(8, "little")
    for at, value in itertools.islice(_pointers(session, modules, module), _MOST_TABLES):
        size = _room(session, owner_of(session, modules, value)) if value != wanted else 0
        table = _read_some(session, value, min(size, _LARGEST_TABLE))
        place = table.find(data)
        while place >= 0 and place % 8:
            place = table.find(data, place + 1)
        if place >= 0:
            return at, BytesPointer(Address(value + place), data.hex())
    return None


def _room(session: Session, table: Owner) -> int:
    """Size of the memory that begins at an address, if a module can have allocated it for itself.

    What has a cache of its own is the kernel's, and known to more than one.
    """
    from drgn import FaultError
    from drgn.helpers.linux.mm import compound_nr, find_vmap_area, virt_to_page

    slab = table.slab
    if slab is not None:
        own = not slab.freed and slab.address == table.address and slab.cache.startswith("kmalloc")
        return slab.size if own else 0
    try:
        if table.kind == "vmalloc":
            area = find_vmap_area(session.prog, table.address)
            whole = area.va_end.value_() - area.va_start.value_()
            return int(whole) if area.va_start.value_() == table.address else 0
        if table.kind == "page" and table.address % _PAGE == 0:
            return _PAGE * int(compound_nr(virt_to_page(session.prog, table.address)).value_())
    except (FaultError, LookupError, AttributeError, ValueError, SymbolError):
        pass
    return 0


def _pointers(session: Session, modules: Modules, module: Module) -> Iterator[tuple[int, int]]:
    """Variables of a module that point out of it, each value once."""
    seen: set[int] = set()
    for start, data in contents(session, module):
        for number, value in enumerate(array.array("Q", data[: len(data) & ~7])):
            memory = _KERNEL_HALF < value < _IMAGE and value % 8 == 0
            if memory and value not in seen and not modules.in_area(value):
                seen.add(value)
                yield start + number * 8, value


def _read_some(session: Session, address: int, most: int) -> bytes:
    """What can be read from an address on, by pages."""
    from drgn import FaultError

    found = b""
    while len(found) < most:
        at = address + len(found)
        try:
            found += session.read(at, min(_PAGE - at % _PAGE, most - len(found)))
        except FaultError:
            break
    return found


def _heads(session: Session, modules: Modules, one: SlabObject) -> Iterator[Claim]:
    """Heads of the lists that an object is on."""
    for offset in range(0, min(one.size, _LARGEST) - 8, 8):
        found = _head(session, modules, one.address + offset)
        if found is not None:
            yield replace(found, place=offset)


def _head(session: Session, modules: Modules, entry: int) -> Claim | None:
    """Go back from entry to entry, each of which leads to the one that was come from."""
    at = entry
    for _ in range(_MOST_ENTRIES):
        # list_head.prev, or hlist_node.pprev: what is there leads on to the entry.
        before = read_word(session, at + 8)
        if before is None or before < _KERNEL_HALF or before % 8:
            return None
        if before == entry or read_word(session, before) != at:
            return None
        module = modules.owner(before)
        if module is not None and not module.taints:
            return None  # the kernel's own modules have others' objects on their lists
        if module is not None:
            memory = BytesPointer(Address(before), at.to_bytes(8, "little").hex())
            text = f"it is on the list {_name(session, before)} of {module.name}"
            return Claim(module, text, memory)
        at = before
    return None


def _name(session: Session, address: int) -> str:
    try:
        return printable(session.prog.symbol(address).name)
    except LookupError:
        return f"at {address:#x}"

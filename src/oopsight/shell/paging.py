"""Page tables of x86-64: the walk from the top, and what an entry says."""

from __future__ import annotations

from collections.abc import Callable

from oopsight.cheap import dataclass

_MASK_PHYSICAL = 0x000F_FFFF_FFFF_F000
# arch/x86/include/asm/pgtable_types.h
_FLAGS = (
    (1, "RW"), (2, "USER"), (3, "PWT"), (4, "PCD"), (5, "ACCESSED"), (6, "DIRTY"), (7, "PSE"),
    (8, "GLOBAL"),
)  # fmt: skip
_PRESENT, _GLOBAL, _HUGE = 1, 1 << 8, 1 << 7
_NX = 1 << 63


@dataclass(frozen=True)
class Level:
    """One step of a walk."""

    name: str
    table: int
    """Physical address of the entry."""
    entry: int


@dataclass(frozen=True)
class Walk:
    """The way from a virtual to a physical address."""

    levels: tuple[Level, ...]
    physical: int | None
    page: int | None
    """Physical address of the page; ``None`` where nothing is mapped."""
    page_size: int
    problem: str | None = None
    """Why the walk ended early: a table that is not in the dump."""


def entry_flags(entry: int) -> list[str]:
    """Names of an entry's flags.

    >>> entry_flags(0x8000000001234063)
    ['PRESENT', 'RW', 'ACCESSED', 'DIRTY', 'NX']
    """
    found = []
    if entry & _PRESENT:
        found.append("PRESENT")
    elif entry & _GLOBAL:
        # _PAGE_PROTNONE is the global bit of an entry that is not present.
        found.append("PROTNONE")
    else:
        return found
    found += [n for bit, n in _FLAGS if entry >> bit & 1 and not (n == "GLOBAL" and not entry & 1)]
    return [*found, "NX"] if entry & _NX else found


def entry_physical(entry: int) -> int:
    """The physical address in an entry.

    >>> hex(entry_physical(0x8000000001234063))
    '0x1234000'
    """
    return entry & _MASK_PHYSICAL


def swap_entry(entry: int) -> tuple[int, int] | None:
    """Type and offset of an entry that was swapped out.

    The offset is stored inverted above bit 9, the type in the top five bits
    (arch/x86/include/asm/pgtable_64.h); ``None`` where the entry is present or empty.
    """
    if not entry or entry & (_PRESENT | _GLOBAL):
        return None
    offset = ((~entry & ((1 << 64) - 1)) << 5 & ((1 << 64) - 1)) >> 14
    return entry >> 59, offset


def walk(
    read: Callable[[int], int], top: int, address: int, levels: int, *, encrypted: int = 0
) -> Walk:
    """Translate an address.

    :param read: gives the 64-bit entry at a physical address, or raises
    :param top: physical address of the highest table
    :param levels: 4 or 5
    :param encrypted: the memory encryption bit, taken out of addresses
    """
    from oopsight.shell.output import gap_from, readable_errors

    names = ("PGD", "P4D", "PUD", "PMD", "PTE") if levels == 5 else ("PGD", "PUD", "PMD", "PTE")
    found: list[Level] = []
    table = top
    for number, name in enumerate(names):
        shift = 12 + 9 * (len(names) - 1 - number)
        place = table + 8 * (address >> shift & 511)
        try:
            entry = read(place)
        except readable_errors() as error:
            why = gap_from(error, name)
            return Walk(tuple(found), None, None, 0, f"{name} at {place:x}: {why.why}")
        found.append(Level(name, place, entry))
        last = name == "PTE"
        usable = entry & _PRESENT or (entry & _GLOBAL and (last or entry & _HUGE))
        if not usable:
            return Walk(tuple(found), None, None, 0)
        if last or (entry & _HUGE and name in ("PUD", "PMD")):
            size = 1 << shift
            page = entry_physical(entry) & ~encrypted & ~(size - 1)
            return Walk(tuple(found), page | address & (size - 1), page, size)
        table = entry_physical(entry) & ~encrypted
    return Walk(tuple(found), None, None, 0)

"""The page allocator's records (``page_owner=on``), ``struct page_owner`` in ``struct page_ext``.

Every page has one. Memory is divided into sections, and each section's table of records begins
where that of page 0 would have begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from oopsight.errors import SymbolError

_INVALID = 1  # PAGE_EXT_INVALID, in the pointer to a table that is about to go
_MOST_SECTIONS = 1 << 16
_MOST_RECORD = 4096  # bytes


class Shape(NamedTuple):
    """How the records of a kernel lie."""

    pages: int
    """Of one section."""
    stride: int
    """Bytes from one page's record to the next's."""
    owner: int
    """Offset of ``struct page_owner`` in a record."""
    recorded: int
    """Bit of ``page_ext.flags``: something was recorded."""
    allocated: int
    """Bit of ``page_ext.flags``: the page is allocated."""


class Table(NamedTuple):
    """The records of one section of memory."""

    first_page: int
    """Number of the first page."""
    start: int
    """Address of the first page's record."""


def shape_of(prog: Any) -> Shape | None:
    """How the records lie; ``None`` where the kernel keeps none."""
    from drgn import FaultError

    try:
        if prog["page_owner_inited"].key.enabled.counter.value_() <= 0:
            return None
        stride = int(prog["page_ext_size"].value_())
        owner = int(prog["page_owner_ops"].offset.value_())
        pages = 1 << int((prog["SECTION_SIZE_BITS"] - prog["PAGE_SHIFT"]).value_())
        bits = [
            1 << int(prog.constant(name).value_())
            for name in ("PAGE_EXT_OWNER", "PAGE_EXT_OWNER_ALLOCATED")
        ]
    except (LookupError, AttributeError, FaultError, SymbolError):
        return None
    if not 0 < owner < stride <= _MOST_RECORD:
        return None
    return Shape(pages, stride, owner, *bits)


def table_of(prog: Any, shape: Shape, page: int) -> Table | None:
    """The table that has a page's record.

    :param page: its number
    """
    from drgn import FaultError
    from drgn.helpers.linux.mmzone import pfn_to_section

    try:
        return _table(shape, page // shape.pages, pfn_to_section(prog, page))
    except (LookupError, AttributeError, FaultError, ValueError, SymbolError):
        return None


def tables(prog: Any, shape: Shape) -> Iterator[Table]:
    """The records of all memory, section by section, as far as they can be read."""
    from drgn import FaultError
    from drgn.helpers.linux.mmzone import for_each_present_section

    try:
        for number, section in islice(for_each_present_section(prog), _MOST_SECTIONS):
            found = _table(shape, number, section)
            if found is not None:
                yield found
    except (LookupError, AttributeError, FaultError, ValueError, SymbolError):
        return


def _table(shape: Shape, number: int, section: Any) -> Table | None:
    base = section.page_ext.value_() if section else 0
    if not base or base & _INVALID:
        return None
    first = number * shape.pages
    return Table(first, (base + first * shape.stride) & ((1 << 64) - 1))

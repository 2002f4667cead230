"""Pages of the page allocator that are free: what they held last is in them still.

Unless ``init_on_free=1`` was given, freeing a page does not clear it. ``makedumpfile`` leaves out
what lies in the buddy lists where its level has 16; the pages on the CPUs' own lists, which were
freed last, are not told from others and stay in the dump.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_MOST_CPUS = 4096
_MOST_LISTS = 64
_HIGHEST_ORDER = 10
_TYPES_OF_ORDER_0 = 3
"""``MIGRATE_PCPTYPES``: a CPU has so many lists of single pages, behind them those of blocks."""
_LINK = "lru"
"""Links free pages; named ``pcp_list`` and ``buddy_list`` as well since 5.19, at the same place."""


LEVEL = 16
"""``makedumpfile -d``: free pages are left out, those of the buddy allocator that is."""


def for_each_free_page(prog: Any, most: int, *, buddy: bool = True) -> Iterator[int]:
    """Direct map addresses of free pages, those freed last first; each once, bounded.

    The CPUs' own lists come before those of the buddy allocator, small blocks before large ones. A
    list that cannot be followed ends there.

    :param most: pages
    :param buddy: whether those of the buddy allocator can be in the dump at all
    """
    from drgn import FaultError, offsetof, sizeof
    from drgn.helpers.linux.mm import pfn_to_page, pfn_to_virt

    page_type = prog.type("struct page")
    link, size = offsetof(page_type, _LINK), sizeof(page_type)
    first_page = pfn_to_page(prog, 0).value_()
    first_byte = pfn_to_virt(prog, 0).value_()
    seen: set[int] = set()
    for head, order in _heads(prog, buddy=buddy):
        entry = head
        while True:
            try:
                entry = prog.read_u64(entry)
            except FaultError:
                break
            number, rest = divmod(entry - link - first_page, size)
            if entry == head or rest or number in seen:
                break
            for page in range(number, number + (1 << order)):
                if page in seen:
                    continue
                if len(seen) >= most:
                    return
                seen.add(page)
                yield first_byte + (page << 12)


def _heads(prog: Any, *, buddy: bool) -> Iterator[tuple[int, int]]:
    """Addresses of list heads, with the order of the blocks on them."""
    zones = list(_zones(prog))
    for zone in zones:
        for lists in _of_cpus(prog, zone):
            for index in range(min(len(lists), _MOST_LISTS)):
                yield lists[index].address_, min(index // _TYPES_OF_ORDER_0, _HIGHEST_ORDER)
    for order in range(_HIGHEST_ORDER + 1) if buddy else ():
        for zone in zones:
            if order < len(zone.free_area):
                for head in zone.free_area[order].free_list:
                    yield head.address_, order


def _zones(prog: Any) -> Iterator[Any]:
    """``struct zone *`` of each zone that has pages."""
    from drgn.helpers.linux.mmzone import for_each_online_pgdat

    for node in for_each_online_pgdat(prog):
        for zone in node.node_zones:
            if zone.present_pages:
                yield zone.address_of_()


def _of_cpus(prog: Any, zone: Any) -> Iterator[Any]:
    """The lists of each CPU for a zone."""
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    for number, cpu in enumerate(for_each_possible_cpu(prog)):
        if number >= _MOST_CPUS:
            return
        try:
            try:
                # Since Linux 5.14 (commit 28f836b6777b) without the struct around it.
                lists = per_cpu_ptr(zone.per_cpu_pageset, cpu).lists
            except AttributeError:
                lists = per_cpu_ptr(zone.pageset, cpu).pcp.lists
        except FaultError:
            continue
        yield lists

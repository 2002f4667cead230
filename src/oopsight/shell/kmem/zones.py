"""Nodes and zones: sizes, free lists, counters, memory sections, huge pages, per-CPU offsets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.output import Gap, readable_errors
from oopsight.shell.tasks import cpus_of
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.output import Out

MOST_FREE_BLOCKS = 4_000_000


def nodes(shell: Shell, out: Out) -> Iterator[Any]:
    """``struct pglist_data *`` of each node."""
    from drgn.helpers.linux.mmzone import for_each_online_pgdat

    return out.walk(for_each_online_pgdat(shell.prog), "nodes", 4096)


def zones_of(node: Any) -> Iterator[Any]:
    """``struct zone *`` of a node."""
    for zone in node.node_zones:
        yield zone.address_of_()


def zone_name(zone: Any) -> str:
    """Its name."""
    return printable(c_string(zone.name), 32)


def _page_at(shell: Shell, pfn: int) -> int:
    from drgn.helpers.linux.mm import pfn_to_page

    return int(pfn_to_page(shell.prog, pfn).value_())


def show_nodes(shell: Shell, out: Out) -> None:
    """``kmem -n``: nodes, zones, sections and memory blocks."""
    for node in nodes(shell, out):
        with out.item("node"):
            _node(shell, node, out)
    out.line("-" * 67 + "\n")
    _sections(shell, out)
    _memory_blocks(shell, out)


def _node(shell: Shell, node: Any, out: Out) -> None:
    zones = list(zones_of(node))
    size = int(node.node_spanned_pages.value_())
    start = int(node.node_start_pfn.value_())
    out.line("NODE    SIZE      PGLIST_DATA       BOOTMEM_DATA       NODE_ZONES   ")
    number = int(node.node_id.value_())
    first = f"{number:3} {size:8}    {node.value_():016x}        ----        "
    out.row(
        f"{first}{zones[0].value_():016x}",
        node=number,
        pages=size,
        pglist_data=Address(node.value_()),
        start_pfn=start,
    )
    for zone in zones[1:]:
        out.line(f"{'':52}{zone.value_():016x}")
    out.line("    MEM_MAP          START_PADDR    START_MAPNR")
    mem_map = out.got(lambda: f"{_page_at(shell, start):x}", "mem_map")
    out.line(f"{mem_map!s:16}  {start << 12:>10x}  {start:>12}     \n")
    out.line("ZONE  NAME         SIZE       MEM_MAP      START_PADDR  START_MAPNR")
    for index, zone in enumerate(zones):
        with out.item(f"zone {index}"):
            pages = int(zone.spanned_pages.value_())
            low = int(zone.zone_start_pfn.value_())
            where = f"{_page_at(shell, low):x}" if pages else "0"
            out.row(
                f"{index:3}   {zone_name(zone):<8} {pages:8}  {where:>16} {low << 12 if pages else 0:12x} "  # noqa: E501  # one row
                f"{low if pages else 0:12}",
                zone=index,
                name=zone_name(zone),
                pages=pages,
                start_pfn=low,
            )
    out.line()


_SECTION_STATES = {
    "PRESENT": "P",
    "HAS_MEM_MAP": "M",
    "ONLINE": "O",
    "EARLY": "E",
    "TAINT_ZONE_DEVICE": "D",
}
"""A letter for each flag of ``enum`` in include/linux/mmzone.h that is shown."""


def _sections(shell: Shell, out: Out) -> None:
    """Sections of the memory map."""
    from drgn.helpers.linux.mmzone import (
        decode_section_flags,
        for_each_present_section,
        section_decode_mem_map,
        section_mem_map_addr,
        section_nr_to_pfn,
    )

    try:
        sections = for_each_present_section(shell.prog)
    except readable_errors():
        sections = iter(())
    out.line("NR      SECTION        CODED_MEM_MAP        MEM_MAP       STATE PFN")
    for nr, section in out.walk(sections, "memory sections", 1 << 20):
        with out.item(f"section {nr}"):
            coded = int(section_mem_map_addr(section).value_())
            mem_map = int(section_decode_mem_map(section, nr).value_())
            names = decode_section_flags(section)
            state = "".join(c for word, c in _SECTION_STATES.items() if word in names)
            pfn = int(section_nr_to_pfn(shell.prog, nr))
            out.row(
                f"{nr:2}  {section.value_():016x}  {coded:016x}  {mem_map:016x}  {state:<4}  {pfn}",
                section=nr,
                address=Address(section.value_()),
                mem_map=Address(mem_map),
                state=state,
                pfn=pfn,
            )
    out.line()


def _memory_blocks(shell: Shell, out: Out) -> None:
    """What can be plugged in and out at once; nothing where the kernel has no such blocks."""
    from drgn.helpers.linux.mm import (
        decode_memory_block_state,
        for_each_memory_block,
        memory_block_size_bytes,
    )
    from drgn.helpers.linux.mmzone import section_nr_to_pfn

    try:
        blocks = list(out.walk(for_each_memory_block(shell.prog), "memory blocks", 1 << 20))
    except readable_errors():
        return
    if not blocks:
        return
    out.line("   MEM_BLOCK        NAME       PHYSICAL RANGE    NODE  STATE   START_SECTION_NO")
    size = int(memory_block_size_bytes(shell.prog))
    for block in blocks:
        with out.item(f"memory block {block.value_():x}"):
            section = int(block.start_section_nr.value_())
            low = int(section_nr_to_pfn(shell.prog, section)) << 12
            name = printable(c_string(block.dev.kobj.name), 32)
            state = decode_memory_block_state(block).removeprefix("MEM_")
            node = out.got(lambda block=block: int(block.nid.value_()), "node")  # type: ignore[misc]
            out.row(
                f" {block.value_():016x}   {name:<10}{low:8x} - {low + size - 1:x}  {node!s:<4} "
                f"{state:<7} {section}",
                block=Address(block.value_()),
                name=name,
                start=Address(low),
                end=Address(low + size),
                state=state,
                section=section,
            )


def _counters(prog: Any, enum: str, last: str) -> list[tuple[int, str]]:
    found: dict[int, str] = {}
    for item in prog.type(f"enum {enum}").enumerators or ():
        if item.name == last:
            break
        # Of two names for a number the first is only the beginning of a group (NR_LRU_BASE).
        found[int(item.value)] = item.name
    return list(found.items())


def show_zones(shell: Shell, out: Out) -> None:
    """``kmem -z``: each zone's sizes, watermarks and counters."""
    from drgn.helpers.linux.mmzone import high_wmark_pages, low_wmark_pages, min_wmark_pages

    names = _counters(shell.prog, "zone_stat_item", "NR_VM_ZONE_STAT_ITEMS")
    for node in nodes(shell, out):
        for index, zone in enumerate(zones_of(node)):
            with out.item(f"zone {zone.value_():x}"):
                name = zone_name(zone)
                out.line(
                    f"NODE: {int(node.node_id.value_())}  ZONE: {index}  "
                    f'ADDR: {zone.value_():x}  NAME: "{name}"'
                )
                present = int(zone.present_pages.value_())
                if not present:
                    out.row("  [unpopulated]\n", zone=name, present=0)
                    continue
                marks = [int(f(zone)) for f in (min_wmark_pages, low_wmark_pages, high_wmark_pages)]
                out.line(
                    f"  SIZE: {int(zone.spanned_pages.value_())}  PRESENT: {present}  "
                    f"MIN/LOW/HIGH: {'/'.join(map(str, marks))}"
                )
                out.line("  VM_STAT:")
                stats = {}
                width = max(len(title) for _, title in names)
                for item, title in names:
                    value = int(zone.vm_stat[item].counter.value_())
                    stats[title] = value
                    out.line(f"{title:>{width}}: {value}")
                out.row("\n", zone=name, present=present, watermarks=marks, stats=stats)


def show_counters(shell: Shell, out: Out) -> None:
    """``kmem -V``: the kernel's counters of memory."""
    prog = shell.prog
    for title, variable, enum, last in (
        ("VM_ZONE_STAT", "vm_zone_stat", "zone_stat_item", "NR_VM_ZONE_STAT_ITEMS"),
        ("VM_NODE_STAT", "vm_node_stat", "node_stat_item", "NR_VM_NODE_STAT_ITEMS"),
        ("VM_NUMA_EVENT", "vm_numa_event", "numa_stat_item", "NR_VM_NUMA_EVENT_ITEMS"),
    ):
        with out.item(title):
            names = _counters(prog, enum, last)
            values = prog[variable]
            rows = [(name, int(values[item].counter.value_())) for item, name in names]
            _table(title, rows, out)
    with out.item("VM_EVENT_STATES"):
        names = _counters(prog, "vm_event_item", "NR_VM_EVENT_ITEMS")
        totals = _event_totals(prog)
        _table("VM_EVENT_STATES", [(name, totals[item]) for item, name in names], out)


def _event_totals(prog: Any) -> list[int]:
    """Sums over the CPUs that are online; those of CPUs that went away were folded in."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    totals: list[int] = []
    for cpu in for_each_possible_cpu(prog):
        events = per_cpu(prog["vm_event_states"], cpu).event
        values = [int(value.value_()) for value in events]
        totals = [a + b for a, b in zip(totals, values, strict=True)] if totals else values
    return totals


def _table(title: str, rows: list[tuple[str, int]], out: Out) -> None:
    out.line(f"  {title}:")
    for name, value in rows:
        out.row(f"{name:>26}: {value}", table=title.lower(), name=name, value=value)
    out.line()


def show_per_cpu(shell: Shell, out: Out) -> None:
    """``kmem -o``: where each CPU's per-CPU area lies."""
    out.line("PER-CPU OFFSET VALUES:")
    offsets = shell.prog["__per_cpu_offset"]
    for cpu in cpus_of(shell.prog):
        value = out.got(lambda cpu=cpu: int(offsets[cpu].value_()), f"CPU {cpu}")  # type: ignore[misc]
        shown = value if isinstance(value, Gap) else f"{value:x}"
        out.row(
            f"  CPU {cpu}: {shown}",
            cpu=cpu,
            offset=value if isinstance(value, Gap) else Address(value),
        )  # one row


def show_huge(shell: Shell, out: Out) -> None:
    """``kmem -h``: pools of huge pages."""
    from drgn.helpers.linux.hugetlb import for_each_hstate

    out.line("     HSTATE        SIZE    FREE   TOTAL  NAME")
    for state in out.walk(for_each_hstate(shell.prog), "huge pages", 64):
        with out.item(f"hstate {state.value_():x}"):
            size = int(shell.prog["PAGE_SIZE"].value_()) << int(state.order.value_())
            shown = (
                f"{size >> 30}GB"
                if size >= 1 << 30
                else f"{size >> 20}MB"
                if size >= 1 << 20
                else f"{size >> 10}KB"
            )  # one choice
            total, free = int(state.nr_huge_pages.value_()), int(state.free_huge_pages.value_())
            name = printable(c_string(state.member_("name")), 32)
            out.row(
                f"{state.value_():016x}  {shown:>5} {free:7} {total:7}  {name}",
                hstate=Address(state.value_()),
                bytes=size,
                free=free,
                total=total,
                name=name,
            )


def show_free(shell: Shell, out: Out, *, pages: bool, only: int | None = None) -> None:
    """``kmem -f`` and ``-F``: the free lists, by order and kind, checked against the counter.

    :param pages: whether to show the pages of each list
    :param only: a ``struct page``; then the free list that it is on is all that is shown
    """
    whole = counted = 0
    for node in nodes(shell, out):
        for index, zone in enumerate(zones_of(node)):
            with out.item(f"zone {zone.value_():x}"):
                whole += int(zone.vm_stat[0].counter.value_())
                if only is not None:
                    _find_free(zone, out, only)
                elif _free_title(shell, out, index, zone):
                    counted += _free_lists(zone, out, pages=pages)
                    out.line()
    if only is None:
        check = "verified" if whole == counted else f"found {counted}"
        out.row(f"nr_free_pages: {whole}  ({check})", nr_free_pages=whole, counted=counted)


def _free_title(shell: Shell, out: Out, index: int, zone: Any) -> bool:
    """The zone, and whether it has memory at all."""
    free = int(zone.vm_stat[0].counter.value_())
    low, size = int(zone.zone_start_pfn.value_()), int(zone.spanned_pages.value_())
    out.line("ZONE  NAME        SIZE    FREE      MEM_MAP       START_PADDR  START_MAPNR")
    where = f"{_page_at(shell, low):016x}" if size else f"{0:^16}"
    start = f"{low << 12:^11x}  {low:^11}"
    out.line(f"{index:3}   {zone_name(zone):<7} {size:8} {free:7}  {where}  {start}")
    if not size:
        out.line()
        return False
    out.line("AREA    SIZE  FREE_AREA_STRUCT  BLOCKS  PAGES")
    return True


def _free_blocks(zone: Any, out: Out) -> Iterator[tuple[int, Any, Any, list[int]]]:
    """Order, area, list head and ``struct page`` addresses of each free list."""
    from drgn.helpers.linux.list import list_for_each_entry

    for order, area in enumerate(zone.free_area):
        for head in area.free_list:
            entries = list_for_each_entry("struct page", head.address_of_(), "lru")
            walk = out.walk(entries, "free list", MOST_FREE_BLOCKS)
            yield order, area, head, [int(page.value_()) for page in walk]


def _free_lists(zone: Any, out: Out, *, pages: bool) -> int:
    """Each list of a zone; how many pages they hold."""
    name, counted = zone_name(zone), 0
    for order, _, head, found in _free_blocks(zone, out):
        blocks = len(found)
        counted += blocks << order
        out.row(
            f"{order:3} {4 << order:7}k  {head.address_:016x} {blocks:7} {blocks << order:6}",
            zone=name,
            order=order,
            list=Address(head.address_),
            blocks=blocks,
            pages=blocks << order,
        )
        if pages:
            out.lines("\n".join(f"{page:x}" for page in found))
    return counted


def _find_free(zone: Any, out: Out, only: int) -> None:
    """The list of a zone that a page is on, by itself or within a larger block."""
    for order, area, _, found in _free_blocks(zone, out):
        if any(page <= only < page + (64 << order) for page in found):
            out.line("AREA    SIZE  FREE_AREA_STRUCT")
            out.line(f"{order:3} {4 << order:7}k  {area.address_:x}")
            out.row(f"{only:x}", page=Address(only), order=order)

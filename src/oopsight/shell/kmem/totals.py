"""How much memory there is, and what it is used for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.shell.numbers import amount
from oopsight.shell.output import Gap

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.output import Out

_DASHES = "----"


def show(shell: Shell, out: Out) -> None:
    """The table of ``kmem -i``."""
    from drgn.helpers.linux.hugetlb import for_each_hstate
    from drgn.helpers.linux.mm import totalram_pages, vm_commit_limit
    from drgn.helpers.linux.vmstat import global_zone_page_state

    prog = shell.prog
    page = int(prog["PAGE_SIZE"].value_())
    out.line("                 PAGES        TOTAL      PERCENTAGE")

    def row(title: str, pages: int | Gap, whole: int | Gap | None, of: str = "") -> None:
        if isinstance(pages, Gap):
            out.row(f"{title:>13}  {pages}: {pages.why}", name=title.lower(), pages=pages)
            return
        size = amount(pages * page)
        if whole is None:
            tail = f"         {_DASHES}"
        else:
            share = 0 if isinstance(whole, Gap) or not whole else 100 * pages // whole
            tail = f" {share:4}% of {of}"
        out.row(
            f"{title:>13} {pages:8} {size:>12}{tail}",
            name=title.lower().replace(" ", "_"),
            pages=pages,
            bytes=pages * page,
        )

    total = out.got(lambda: int(totalram_pages(prog)), "totalram")
    free = out.got(lambda: int(global_zone_page_state(prog, prog["NR_FREE_PAGES"])), "free pages")
    row("TOTAL MEM", total, None)
    row("FREE", free, total, "TOTAL MEM")
    if not isinstance(total, Gap) and not isinstance(free, Gap):
        row("USED", total - free, total, "TOTAL MEM")
    buffers = out.got(lambda: _buffers(prog), "buffers")
    row("BUFFERS", buffers, total, "TOTAL MEM")
    row("CACHED", out.got(lambda: _cached(prog), "cached"), total, "TOTAL MEM")
    row("SLAB", out.got(lambda: _slab(prog), "slab"), total, "TOTAL MEM")
    out.line()
    huge_total = huge_free = 0
    for state in out.walk(for_each_hstate(prog), "huge pages", 64):
        with out.item("huge pages"):
            pages = 1 << int(state.order.value_())
            huge_total += int(state.nr_huge_pages.value_()) * pages
            huge_free += int(state.free_huge_pages.value_()) * pages
    row("TOTAL HUGE", huge_total, None)
    row("HUGE FREE", huge_free, huge_total, "TOTAL HUGE")
    out.line()
    swap = out.got(lambda: _swap(prog), "swap")
    if isinstance(swap, Gap):
        out.line(f"{'TOTAL SWAP':>13}  {swap}: {swap.why}")
    else:
        row("TOTAL SWAP", swap[0], None)
        row("SWAP USED", swap[1], swap[0], "TOTAL SWAP")
        row("SWAP FREE", swap[0] - swap[1], swap[0], "TOTAL SWAP")
    out.line()
    limit = out.got(lambda: int(vm_commit_limit(prog)), "commit limit")
    row("COMMIT LIMIT", limit, None)
    committed = out.got(lambda: _committed(prog), "committed")
    row("COMMITTED", committed, limit, "TOTAL LIMIT")


def _buffers(prog: Any) -> int:
    from drgn.helpers.linux.block import nr_blockdev_pages

    return int(nr_blockdev_pages(prog))


def _cached(prog: Any) -> int:
    from drgn.helpers.linux.swap import total_swapcache_pages
    from drgn.helpers.linux.vmstat import global_node_page_state

    pages = int(global_node_page_state(prog, prog["NR_FILE_PAGES"]))
    return pages - int(total_swapcache_pages(prog)) - _buffers(prog)


def _slab(prog: Any) -> int:
    from drgn.helpers.linux.vmstat import global_node_page_state

    total = 0
    for name in ("NR_SLAB_RECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE_B"):
        try:
            item = prog[name]
        except KeyError:
            item = prog[name.removesuffix("_B")]
        total += int(global_node_page_state(prog, item))
    return total


def _swap(prog: Any) -> tuple[int, int]:
    from drgn.helpers.linux.swap import swap_total_usage

    found = swap_total_usage(prog)
    return int(found.pages), int(found.used_pages)


def _committed(prog: Any) -> int:
    """Sum of a per-CPU counter over all CPUs, those that the panic stopped too."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    counter = prog["vm_committed_as"]
    total = int(counter.count.value_())
    for cpu in for_each_possible_cpu(prog):
        total += int(per_cpu_ptr(counter.counters, cpu)[0].value_())
    return max(0, total)

"""All of the kernel's own variables, word by word, for pointers to just before the bad address.

The net behind the other registries: function pointers, tables and list heads that no file here
knows. Looked through only where the bad address lies in the module area.
"""

from __future__ import annotations

from oopsight.evidence.registries import PAGE, Look
from oopsight.text import printable

THING = "kernel variable"

_RANGES = (("_sdata", "_edata"), ("__bss_start", "__bss_stop"))
# The sorting of a module's unwind tables keeps these beyond the module's end; the report of the
# crash itself keeps the registers, the bad pointer among them.
_STALE = ("cur_orc_table", "cur_orc_ip_table", "exec_summary_regs")
_MOST = 64 << 20


def search_more(look: Look) -> None:
    """Whatever symbol the word belongs to is named; who follows the pointer is not known."""
    near = look.near or 0
    import numpy as np
    from drgn import FaultError

    # Runs of pages are read at once, single pages where one of a run is not in the dump.
    for first, last in _RANGES:
        start, stop = (look.symbol(name) for name in (first, last))
        stop = min(stop, start + _MOST)
        for block in range(start & -PAGE, stop, 64 * PAGE):
            end = min(block + 64 * PAGE, stop & -PAGE)
            for at, size in [(block, end - block), *((p, PAGE) for p in range(block, end, PAGE))]:
                try:
                    data = look.prog.read(at, size)
                except FaultError:
                    continue
                words = np.frombuffer(data, "<u8")
                hits = np.nonzero((words > near - PAGE) & (words <= near))[0]
                for index in hits:
                    _keep(look, at + 8 * int(index), int(words[index]))
                if size > PAGE:
                    break


def _keep(look: Look, address: int, value: int) -> None:
    try:
        symbol = look.prog.symbol(address)
    except LookupError:
        return
    name = printable(symbol.name)
    if address >= symbol.address + symbol.size or name in _STALE:
        return
    look.word(name, symbol.address, address - symbol.address, value, name)

"""How much memory tasks have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.shell.output import readable_errors
from oopsight.shell.tasks import cpus_of

if TYPE_CHECKING:
    from oopsight.shell import Shell


def memory_pages(shell: Shell, *, holes: bool = False) -> int:
    """Pages of memory of all nodes.

    :param holes: also those that a node has no memory for, as crash counts for ``ps``
    """
    key = "pages-with-holes" if holes else "pages"
    if key not in shell.cache:
        from drgn.helpers.linux.mmzone import for_each_online_pgdat

        total = 0
        try:
            for node in for_each_online_pgdat(shell.prog):
                counted = node.node_spanned_pages if holes else node.node_present_pages
                total += int(counted.value_())
        except readable_errors():
            pass
        shell.cache[key] = total
    return int(shell.cache[key])


def memory_of(shell: Shell, task: Any, mm: int) -> tuple[int, int]:
    """Virtual and resident size of a task in bytes.

    :param mm: address of its ``mm``; 0 where it has none
    """
    if not mm:
        return 0, 0
    memo: dict[int, tuple[int, int]] = shell.cache.setdefault("memory-of", {})
    if mm not in memo:
        page = int(shell.prog["PAGE_SIZE"].value_())
        memo[mm] = int(task.mm.total_vm.value_()) * page, resident_pages(shell, task) * page
    return memo[mm]


def resident_pages(shell: Shell, task: Any) -> int:
    """Resident pages of a task's memory."""
    mm = task.mm.read_()
    memo = shell.cache.setdefault("rss", {})
    if mm.value_() not in memo:
        memo[mm.value_()] = _resident(shell, task, mm)
    return int(memo[mm.value_()])


def _resident(shell: Shell, task: Any, mm: Any) -> int:
    from drgn.helpers.linux.mm import task_rss

    prog = shell.prog
    kinds = [int(prog[name].value_()) for name in ("MM_FILEPAGES", "MM_ANONPAGES", "MM_SHMEMPAGES")]
    try:
        counters = [mm.rss_stat[kind] for kind in kinds]
        parts = [(int(c.count.value_()), int(c.counters.value_())) for c in counters]
    except (TypeError, AttributeError):
        return int(task_rss(task).total)  # no per-CPU counters before Linux 6.2 (f1a7941243c1)
    # CPUs that the panic stopped hold a part of the sum too.
    total = sum(max(0, count + sum(_per_cpu_parts(shell, at))) for count, at in parts)
    return int(total)


def _per_cpu_parts(shell: Shell, pointer: int) -> Iterator[int]:
    """The ``s32`` of each CPU that a per-CPU pointer leads to."""
    if "per-cpu-offsets" not in shell.cache:
        offsets = shell.prog["__per_cpu_offset"]
        shell.cache["per-cpu-offsets"] = [int(offsets[c].value_()) for c in cpus_of(shell.prog)]
    for offset in shell.cache["per-cpu-offsets"]:
        data = shell.session.read((pointer + offset) & ((1 << 64) - 1), 4)
        yield int.from_bytes(data, "little", signed=True)

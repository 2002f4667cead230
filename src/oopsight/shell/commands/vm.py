"""Display the virtual memory of tasks.

Examples
The regions of the current task, and of another:

    crash> vm
    crash> vm 1

Each page's place in memory, in a file or in swap:

    crash> vm -p

Only the region that holds an address; the mm_struct and each vm_area_struct whole:

    crash> vm -R 400000
    crash> vm -m
    crash> vm -v
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.kernel.paths import path_of
from oopsight.shell.code import for_tasks
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.output import Gap
from oopsight.shell.paging import swap_entry
from oopsight.shell.show import header
from oopsight.shell.walks import translate

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "vm [-p | -P vma | -M mm | -v | -m | -x | -d | [-R reference] [pid | task]] [-f flags] ..."
)
OPTIONS = {
    "-p": "each page's physical address, or where it is in a file or in swap",
    "-P VMA": "as -p, of one vm_area_struct",
    "-M MM": "this mm_struct, where the task's own pointer is gone",
    "-v": "each vm_area_struct whole",
    "-m": "the mm_struct whole",
    "-x": "numbers in hexadecimal (-m, -v)",
    "-d": "numbers in decimal (-m, -v)",
    "-R REF": "only regions of this file, address, page or number",
    "-f FLAGS": "what this value of vm_flags means",
}
_TITLE = "      VMA           START       END     FLAGS FILE"
MOST_REGIONS = 1_000_000
MOST_PAGES = 4_000_000
# include/linux/mm.h
_FLAGS = (
    "READ", "WRITE", "EXEC", "SHARED", "MAYREAD", "MAYWRITE", "MAYEXEC", "MAYSHARE", "GROWSDOWN",
    "UFFD_MISSING", "PFNMAP", "UFFD_MINOR|MAYBE_GUARD", "UFFD_WP", "LOCKED", "IO", "SEQ_READ",
    "RAND_READ", "DONTCOPY", "DONTEXPAND", "LOCKONFAULT", "ACCOUNT", "NORESERVE", "HUGETLB", "SYNC",
    "ARCH_1", "WIPEONFORK", "DONTDUMP", "SOFTDIRTY", "MIXEDMAP", "HUGEPAGE", "NOHUGEPAGE",
    "MERGEABLE",
)  # fmt: skip


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the memory of each task."""
    if args.has("-f"):
        value = hexadecimal(args.value("-f") or "") or 0
        names = [name for bit, name in enumerate(_FLAGS) if value >> bit & 1]
        out.row(f"{value:x}: ({'|'.join(names)})", flags=names)
        return
    for number, task in enumerate([shell.find_task(w) for w in args.rest] or [shell.task]):
        if number:
            out.line()
        show_task(shell, task, args, out)


def show_task(shell: Shell, task: Any, args: Args, out: Out) -> None:
    """One task."""
    from drgn import Object
    from drgn.helpers.linux.mm import for_each_vma

    from oopsight.shell import structs

    reference = args.value("-R")
    if reference is None:
        header(out, task)
    mm = task.mm.read_()
    if args.has("-M"):
        mm = Object(shell.prog, "struct mm_struct *", shell.address(args.value("-M") or "0"))
        mm[0].mm_users.read_()
    if args.has("-P"):
        vma = Object(shell.prog, "struct vm_area_struct *", shell.address(args.value("-P") or "0"))
        _region(shell, task, vma, args, out)
        return
    if not mm:
        if reference is None:
            out.line("(no user memory)" if not args.has("-m") else "(no mm_struct)")
        return
    if args.has("-m"):
        structs.one(shell, mm[0], [], args, out)
        return
    if not args.has("-v") and reference is None:
        _totals(shell, task, mm, out)
    if not args.has("-v", "-p") and reference is None:
        out.line(_TITLE)
    said = False
    for vma in out.walk(for_each_vma(mm), "regions", MOST_REGIONS):
        with out.item(f"region {vma.value_():x}"):
            if reference is not None:
                if not _refers(vma, reference):
                    continue
                if not said:
                    header(out, task)
                    _totals(shell, task, mm, out)
                    out.line(_TITLE)
                    said = True
            if args.has("-v"):
                structs.one(shell, vma[0], [], args, out)
                continue
            _region(shell, task, vma, args, out, titled=not args.has("-p"))


def _totals(shell: Shell, task: Any, mm: Any, out: Out) -> None:
    from oopsight.shell.taskmemory import resident_pages

    page = int(shell.prog["PAGE_SIZE"].value_()) >> 10
    top = out.got(lambda: f"{mm.pgd.value_():x}", "pgd")
    rss = out.got(lambda: f"{resident_pages(shell, task) * page}k", "rss")
    total = out.got(lambda: f"{int(mm.total_vm.value_()) * page}k", "total_vm")
    out.line("       MM               PGD          RSS    TOTAL_VM")
    out.line(f"{mm.value_():016x}  {top!s:>16}  {rss!s:>5}  {total!s:>7}   ")


def _refers(vma: Any, reference: str) -> bool:
    number = hexadecimal(reference)
    start, end = int(vma.vm_start.value_()), int(vma.vm_end.value_())
    if number is not None and (number == vma.value_() or start <= number < end):
        return True
    path = path_of(vma.vm_file.f_path.address_of_()) if vma.vm_file else ""
    return bool(path) and reference in (path, path.rpartition("/")[2])


def _region(
    shell: Shell, task: Any, vma: Any, args: Args, out: Out, *, titled: bool = False
) -> None:
    start, end = int(vma.vm_start.value_()), int(vma.vm_end.value_())
    flags = out.got(lambda: int(vma.vm_flags.value_()), "flags")
    path = out.got(lambda: path_of(vma.vm_file.f_path.address_of_()) if vma.vm_file else "", "file")
    if not titled:
        out.line(_TITLE)
    out.row(
        f"{vma.value_():016x} {start:10x} {end:10x} {flags:x} {path}",
        vma=Address(vma.value_()),
        start=Address(start),
        end=Address(end),
        flags=flags if isinstance(flags, Gap) else Address(flags),
        file=path,
    )
    if args.has("-p", "-P"):
        _pages(shell, vma, start, end, path, out)


def _pages(shell: Shell, vma: Any, start: int, end: int, path: str | Gap, out: Out) -> None:
    out.line("VIRTUAL     PHYSICAL")
    mm = vma.vm_mm.read_()
    offset = int(vma.vm_pgoff.value_()) << 12
    for number, address in enumerate(range(start, end, 4096)):
        if number >= MOST_PAGES:
            out.line(f"not followed beyond {MOST_PAGES} pages")
            return
        walk = translate(shell, mm, address)
        if walk.physical is not None:
            shown = f"{walk.physical:x}"
        elif walk.problem:
            shown = f"<unreadable: {walk.problem}>"
            out.count(Gap("page table", None, walk.problem))
        else:
            last = walk.levels[-1] if walk.levels else None
            swapped = swap_entry(last.entry) if last and last.name == "PTE" else None
            if swapped is not None:
                shown = f"SWAP: type {swapped[0]}  OFFSET: {swapped[1]}"
            elif path:
                shown = f"FILE: {path}  OFFSET: {offset + address - start:x}"
            else:
                shown = "(not mapped)"
        # As crash has it: a mapped page's column begins one character farther.
        width = max(11, len(f"{address:x}") + 1) if walk.physical is not None else 10
        out.row(f"{address:<{width}x}  {shown}", virtual=Address(address), place=shown)


def drgn_code(shell: Shell, args: Args) -> str:
    """The regions of a task's memory."""
    body = """
if task.mm:
    for vma in for_each_vma(task.mm):
        print(hex(vma), hex(vma.vm_start), hex(vma.vm_end), vma_name(vma).decode())"""
    return for_tasks(shell, args.rest, body)

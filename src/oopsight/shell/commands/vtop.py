"""Translate a virtual address to a physical one, with the walk through the page tables.

Examples
A kernel address; one that is not mapped ends where the tables end:

    crash> vtop ffffffff9561aa40
    crash> vtop ffffffffc0451030

A user address of the current task, or of another:

    crash> vtop -u 4423bd
    crash> vtop -c 1 400000
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.code import one_address, task_expression
from oopsight.shell.commands.pte import show_entry
from oopsight.shell.output import readable_errors
from oopsight.shell.paging import Walk
from oopsight.shell.walks import levels, translate

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "vtop [-c [pid | task]] [-u|-k] address ..."
OPTIONS = {
    "-c TASK": "through the page tables of this task",
    "-u": "the address is one of user space",
    "-k": "the address is one of the kernel",
}
DRGN = ("-c", "-u", "-k")


def run(shell: Shell, args: Args, out: Out) -> None:
    """Translate each argument."""
    from oopsight.shell import CommandError

    if not args.rest:
        raise CommandError(f"an address is needed; usage: {SYNOPSIS}")
    task = shell.find_task(args.value("-c") or "") if args.has("-c") else shell.task
    for number, word in enumerate(args.rest):
        if number:
            out.line()
        address = shell.address(word)
        user = args.has("-u") or (not args.has("-k") and not address >> 47)
        _translate(shell, task, address, out, user=user)


def _translate(shell: Shell, task: Any, address: int, out: Out, *, user: bool) -> None:
    from oopsight.shell import CommandError

    mm = shell.prog["init_mm"].address_of_()
    if user:
        mm = task.mm.read_()
        if not mm:
            raise CommandError(f"{address:x}: the task has no user memory")
    found = translate(shell, mm, address)
    width = 10 if user else 16
    out.line(f"{'VIRTUAL':<{width}}  {'PHYSICAL':<16}")
    physical = found.physical
    shown = "(not mapped)" if physical is None else f"{physical:x}"
    if found.problem:
        shown = "(unknown)"
    out.line(f"{address:<{width}x}  {shown:<16}")
    out.line()
    _levels(shell, mm, found, out, user=user)
    last = found.levels[-1] if found.levels else None
    out.row(
        None,
        virtual=Address(address),
        physical=None if physical is None else Address(physical),
        page_size=found.page_size,
        problem=found.problem,
        levels=[
            {"level": v.name, "place": Address(v.table), "entry": Address(v.entry)}
            for v in found.levels
        ],
    )
    if found.problem:
        out.line(f"the walk ends here: {found.problem}")
        return
    if last is not None and last.entry:
        out.line()
        show_entry(last.entry, out)
    if user:
        _region(task, mm, address, out)
    if physical is not None:
        _page(shell, physical, out)


def _levels(shell: Shell, mm: Any, found: Walk, out: Out, *, user: bool) -> None:
    rows = list(found.levels)
    if not user and rows:
        out.line(f"PGD DIRECTORY: {mm.pgd.value_():x}")
        out.line(f"PAGE DIRECTORY: {rows[0].entry:x}")
        rows = rows[1:]
    for row in rows:
        out.line(f"{row.name:>6}: {row.table:x} => {row.entry:x}")
    if found.page is not None:
        size = {1 << 21: "  (2MB)", 1 << 30: "  (1GB)"}.get(found.page_size, "")
        out.line(f"  PAGE: {found.page:x}{size}{'' if size or not user else '  '}")
    if levels(shell) == 5 and not found.levels:
        out.line("(5-level page tables)")


def _region(task: Any, mm: Any, address: int, out: Out) -> None:
    from drgn.helpers.linux.mm import vma_find

    from oopsight.kernel.paths import path_of

    with out.item("region"):
        vma = vma_find(mm, address)
        if not vma or not int(vma.vm_start.value_()) <= address:
            return
        out.line()
        out.line("      VMA           START       END     FLAGS FILE")
        path = path_of(vma.vm_file.f_path.address_of_()) if vma.vm_file else ""
        out.line(
            f"{vma.value_():016x} {int(vma.vm_start.value_()):10x} {int(vma.vm_end.value_()):10x} "
            f"{int(vma.vm_flags.value_()):x} {path}"
        )


def _page(shell: Shell, physical: int, out: Out) -> None:
    from drgn.helpers.linux.mm import phys_to_page

    from oopsight.shell.pages import TITLE, page_row

    try:
        page = phys_to_page(shell.prog, physical)
        page.read_()
    except readable_errors():
        return
    out.line()
    out.line(TITLE)
    with out.item("page"):
        page_row(shell, page, out)


def drgn_code(shell: Shell, args: Args) -> str:
    """The walk through the page tables of the kernel or of a task."""
    where = one_address(shell, args)
    if args.has("-c", "-u"):
        task = shell.find_task(args.value("-c") or "") if args.has("-c") else shell.task
        mm = f"{task_expression(task)}.mm"
    else:
        mm = 'prog["init_mm"].address_of_()'
    return f"print(hex(follow_phys({mm}, {where})))"

"""Find who in memory points to an address, or into the object that it lies in.

All memory of the kernel that the dump holds is searched. Each pointer found is told with whose
memory it lies in, the member of the struct where that is known, and the stack's task.

Examples
    crash> refs ffffffffc0452030
    crash> refs -p ffffffffc0452000
    crash> refs -l 100 ffff8ebac285bf00
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Address, Missing
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.modules.modules import Modules
from oopsight.shell.code import one_address
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.output import readable_errors

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "refs [-p | -l length] [-n count] address ..."
OPTIONS = {
    "-p": "pointers anywhere into the address's page",
    "-l LENGTH": "pointers into so many bytes from the address on, hexadecimal",
    "-n COUNT": "end after so many (1000 if not said)",
}
MOST = 1000


def run(shell: Shell, args: Args, out: Out) -> None:
    """Search for each argument."""
    from oopsight.shell import CommandError

    if not args.rest:
        raise CommandError(f"an address is needed; usage: {SYNOPSIS}")
    count = args.value("-n") or str(MOST)
    if not count.isdecimal():
        raise CommandError(f"{count}: no count")
    for word in args.rest:
        address = shell.address(word)
        start, end = address, address + 1
        if args.has("-p"):
            start = address & ~0xFFF
            end = start + 0x1000
        elif args.has("-l"):
            end = start + (hexadecimal(args.value("-l") or "") or 1)
        else:
            start, end = _object(shell, address)
        _search(shell, start, end, int(count), out)


def _object(shell: Shell, address: int) -> tuple[int, int]:
    """The slab object that the address lies in, else the address alone."""
    modules = shell.evidence.get(Modules)
    owner = owner_of(shell.session, None if isinstance(modules, Missing) else modules, address)
    if owner.slab is not None:
        return int(owner.slab.address), int(owner.slab.address) + owner.slab.size
    return address, address + 1


def _search(shell: Shell, start: int, end: int, most: int, out: Out) -> None:
    import numpy as np

    from oopsight.shell.commands.search import kernel_ranges, memory_chunks

    found = missing = 0
    for low, high in kernel_ranges(shell, without_vmalloc=False, only_vmalloc=False):
        for address, data in memory_chunks(shell.session.read, low, high, 0):
            if data is None:
                missing += 1
                continue
            words = np.frombuffer(data[: len(data) // 8 * 8], dtype="<u8")
            hits = np.flatnonzero((words >= np.uint64(start)) & (words < np.uint64(end)))
            for index in hits:
                _show(shell, address + 8 * int(index), int(words[index]), start, out)
                found += 1
                if found >= most:
                    out.line(f"not searched further after {most}; -n raises it")
                    return
    if not found:
        out.line(
            f"nothing in the dump points to {start:x}" + (f" - {end:x}" if end > start + 1 else "")
        )
    if missing:
        out.line(f"[{missing} pages of kernel memory are not in the dump]")


def _show(shell: Shell, place: int, value: int, start: int, out: Out) -> None:
    modules = shell.evidence.get(Modules)
    known = None if isinstance(modules, Missing) else modules
    try:
        owner = owner_of(shell.session, known, place)
        detail = owner.detail
        member = None
        if owner.slab is not None:
            from oopsight.shell.commands.what import typed_member

            member = typed_member(shell, owner.slab.cache, owner.offset or 0)
        task = _stack_owner(shell, place)
    except readable_errors():
        detail, member, task, owner = "memory of which nothing is known", None, None, None
    text = member or detail
    if task is not None:
        text = f"the stack of {task}"
    plus = f"+{value - start:#x}" if value != start else ""
    what = f"  -> {value:x}{f' ({start:x}{plus})' if plus else ''}"
    out.row(
        f"{place:x}{what}  {text}{f': {detail}' if member else ''}",
        place=Address(place),
        value=Address(value),
        kind=owner.kind if owner else None,
        detail=text,
    )


def _stack_owner(shell: Shell, address: int) -> str | None:
    """The task whose kernel stack holds an address."""
    from oopsight.shell.stack import stack_size
    from oopsight.shell.tasks import comm_of, pid_of

    if "stacks" not in shell.cache:
        import bisect

        rows = []
        for task in shell.tasks():
            try:
                rows.append((int(task.stack.value_()), f"{comm_of(task)} ({pid_of(task)})"))
            except readable_errors():
                continue
        rows.sort()
        shell.cache["stacks"] = ([row[0] for row in rows], rows, bisect.bisect_right)
    starts, rows, find = shell.cache["stacks"]
    at = find(starts, address) - 1
    if at >= 0 and rows[at][0] <= address < rows[at][0] + stack_size(shell):
        return str(rows[at][1])
    return None


def drgn_code(shell: Shell, args: Args) -> str:
    """A search of all memory, which takes a while."""
    where = one_address(shell, args)
    return f"""
for address, value in prog.search_memory_u64({where}):
    print(hex(address), hex(value))"""

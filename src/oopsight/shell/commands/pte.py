"""Translate the contents of a page table entry: physical address and flags.

Examples
    crash> pte 8000000001234063
    crash> pte 0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Address
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.paging import entry_flags, entry_physical, swap_entry

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "pte contents ..."
OPTIONS: dict[str, str] = {}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Translate each argument."""
    from oopsight.shell import CommandError

    if not args.rest:
        raise CommandError(f"the contents of an entry are needed; usage: {SYNOPSIS}")
    for word in args.rest:
        value = hexadecimal(word)
        if value is None:
            raise CommandError(f"{word}: no hexadecimal number")
        show_entry(value, out)


def show_entry(value: int, out: Out) -> None:
    """An entry of the lowest level in three columns."""
    flags = entry_flags(value)
    if not flags or "PRESENT" not in flags:
        swapped = swap_entry(value) if value else None
        width = max(len(f"{value:x}"), 3)
        if swapped is not None and "PROTNONE" not in flags:
            out.line(f"{'PTE':^{width}}  {'SWAP':<10} OFFSET")
            out.row(
                f"{value:{width}x}  {swapped[0]:<10} {swapped[1]}",
                pte=Address(value),
                swap_type=swapped[0],
                swap_offset=swapped[1],
            )
            return
        if not value or "PROTNONE" not in flags:
            out.row(f"{value:x}: no page is present", pte=Address(value), flags=[])
            return
    physical = entry_physical(value)
    width, digits = max(len(f"{value:x}"), 3), max(len(f"{physical:x}"), 8)
    out.line(f"{'PTE':^{width}}  {'PHYSICAL':>{digits}}  FLAGS")
    out.row(
        f"{value:x}  {physical:{digits}x}  ({'|'.join(flags)})",
        pte=Address(value),
        physical=Address(physical),
        flags=flags,
    )


def drgn_code(shell: Shell, args: Args) -> str:
    """The bits of an address in an entry of x86-64."""
    del shell
    return "\n".join(f"print(hex(0x{word} & 0x000FFFFFFFFFF000))" for word in args.rest)

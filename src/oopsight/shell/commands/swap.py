"""Display swap devices and files.

Examples
    crash> swap
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Address
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "swap"
OPTIONS: dict[str, str] = {}


def run(shell: Shell, args: Args, out: Out) -> None:
    """List them."""
    from drgn.helpers.linux.swap import (
        for_each_swap_info,
        swap_file_path,
        swap_is_file,
        swap_usage_in_pages,
    )

    out.line("SWAP_INFO_STRUCT    TYPE       SIZE       USED     PCT  PRI  FILENAME")
    for info in out.walk(for_each_swap_info(shell.prog), "swap areas", 1024):
        with out.item(f"swap area {info.value_():x}"):
            pages = int(info.pages.value_())
            used = int(swap_usage_in_pages(info))
            kind = "FILE" if swap_is_file(info) else "PARTITION"
            path = printable(swap_file_path(info))
            share = 100 * used // pages if pages else 0
            out.row(
                f"{info.value_():016x}  {kind:^9} {pages * 4:9}k {used * 4:9}k {share:4}% "
                f"{int(info.prio.value_()):4}  {path}",
                swap_info=Address(info.value_()),
                type=kind.lower(),
                pages=pages,
                used=used,
                priority=int(info.prio.value_()),
                path=path,
            )


def drgn_code(shell: Shell, args: Args) -> str:
    """The swap devices."""
    del shell, args
    return """
for info in for_each_swap_info(prog):
    print(hex(info), swap_file_path(info).decode(), swap_usage_in_pages(info))"""

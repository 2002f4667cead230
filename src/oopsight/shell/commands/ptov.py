"""Translate physical addresses, or per-CPU offsets, to kernel virtual addresses.

Examples
    crash> ptov 56e000
    crash> ptov 1f310:a
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Address
from oopsight.shell.numbers import cpus, hexadecimal
from oopsight.shell.tasks import cpus_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "ptov [address | offset:cpus] ..."
OPTIONS: dict[str, str] = {}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Translate each argument."""
    from drgn.helpers.linux.mm import phys_to_virt

    from oopsight.shell import CommandError

    if not args.rest:
        raise CommandError(f"an address is needed; usage: {SYNOPSIS}")
    for number, word in enumerate(args.rest):
        if number:
            out.line()
        text, colon, spec = word.partition(":")
        value = hexadecimal(text)
        if colon:
            _per_cpu(shell, shell.address(text) if value is None else value, spec, out)
            continue
        if value is None:
            raise CommandError(f"{word}: no hexadecimal address")
        virtual = int(phys_to_virt(shell.prog, value).value_())
        out.line(f"{'VIRTUAL':<16}  {'PHYSICAL':<16}")
        out.row(f"{virtual:<16x}  {value:<16x}", virtual=Address(virtual), physical=Address(value))


def _per_cpu(shell: Shell, offset: int, spec: str, out: Out) -> None:
    from drgn import Object
    from drgn.helpers.linux.percpu import per_cpu_ptr

    out.line(f"PER-CPU OFFSET: {offset:x}")
    out.line(f"  {'CPU':<5} {'VIRTUAL':<16}")
    every = cpus_of(shell.prog)
    for cpu in cpus(spec or "a", every):
        pointer = int(per_cpu_ptr(Object(shell.prog, "void *", offset), cpu).value_())
        out.row(f"  [{cpu}]   {pointer:016x}", cpu=cpu, virtual=Address(pointer))


def drgn_code(shell: Shell, args: Args) -> str:
    """The direct mapping."""
    del shell
    return "\n".join(f"print(hex(phys_to_virt(prog, 0x{word})))" for word in args.rest)

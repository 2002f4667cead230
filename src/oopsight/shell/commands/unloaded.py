"""Display modules that were unloaded before the crash, and what still points to where they were.

The kernel keeps their names, not their places. Pointers that its registries still hold into memory
of the module area without a module are searched for: each is a crash to come.

Examples
    crash> unloaded
    crash> sym ffffffffc0452030
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Missing
from oopsight.evidence.modules.dangling import DanglingPointers
from oopsight.evidence.modules.unloaded_modules import UnloadedModules

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "unloaded"
OPTIONS: dict[str, str] = {}


def run(shell: Shell, args: Args, out: Out) -> None:
    """List names, then pointers."""
    from oopsight.shell.unloaded import former_owner

    found = shell.evidence.get(UnloadedModules)
    if isinstance(found, Missing):
        out.line(f"unloaded modules: {found.detail}")
    else:
        out.line(f"{'MODULE':<24} {'TAINTS':<8} KNOWN FROM")
        for module in found.modules:
            out.row(
                f"{module.name:<24} {module.taints or '-':<8} {module.known_from}",
                module=module.name,
                taints=module.taints,
                known_from=module.known_from,
            )
        if not found.modules:
            out.line("(none is known)")
    pointers = shell.evidence.get(DanglingPointers)
    if isinstance(pointers, Missing):
        out.line(f"\npointers into unloaded modules: {pointers.detail}")
        return
    out.line("\nPOINTER TO        HELD BY")
    for pointer in pointers.found:
        former = former_owner(shell, pointer.target)
        symbol = f" ({former.symbol} [{former.module}])" if former.symbol else ""
        out.row(
            f"{pointer.target:016x}  {pointer.registry}: {pointer.label}{symbol}",
            target=pointer.target,
            registry=pointer.registry,
            label=pointer.label,
            command=pointer.memory.command,
        )
        out.line(f"{'':18}crash> {pointer.memory.command}")
    if not pointers.found:
        out.line("(none is found)")
    for gap in pointers.unchecked:
        out.line(f"not looked through: {gap}")


def drgn_code(shell: Shell, args: Args) -> str:
    """The one name that the kernel itself keeps."""
    del args
    value = shell.prog["last_unloaded_module"]
    name = ".name" if hasattr(value, "name") else ""
    return f'print(prog["last_unloaded_module"]{name}.string_().decode())'

"""The table of system calls, into which some security agents write."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "changed"

_TABLES = ("sys_call_table", "ia32_sys_call_table")
_MOST = 1024


def search(look: Look) -> None:
    """Nothing in the kernel changes it; whoever did has to put the old value back."""
    for name in _TABLES:
        if look.typed and name not in look.prog:
            continue  # no 32-bit calls, or none through a table
        with look.part(name):
            table = look.variable(name)
            values = look.words(table.address_, min(len(table), _MOST))
            for number, value in enumerate(values):
                look.word(name, table.address_, 8 * number, value, f"system call {number}")

"""``kernel.sysrq``: how to dump a machine that hangs, by keyboard, serial or management."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, ok, unknown, warn

DUMP_BIT = 8


def check(host: Host) -> Result:
    """Tell whether SysRq-c is allowed; the default of the distributions is left in peace."""
    value = host.root.read_int("/proc/sys/kernel/sysrq")
    if value is None:
        return unknown("kernel.sysrq cannot be read")
    if value == 0:
        return warn(
            "kernel.sysrq is 0",
            "a machine that hangs cannot be made to dump from its keyboard or serial line",
            "sysctl kernel.sysrq=1, or 8 at least",
        )
    if value != 1 and not value & DUMP_BIT:
        return ok(f"kernel.sysrq is {value}", "SysRq-c is not among what it allows")
    return ok(f"kernel.sysrq is {value}: SysRq-c makes a dump")

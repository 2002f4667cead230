"""``kernel.panic_on_oops``: at 0 an oops kills one task, the damaged kernel goes on, no dump."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, ok, unknown, warn


def check(host: Host) -> Result:
    """Read the sysctl."""
    value = host.root.read_int("/proc/sys/kernel/panic_on_oops")
    if value is None:
        return unknown("kernel.panic_on_oops cannot be read")
    if value == 0:
        return warn(
            "kernel.panic_on_oops is 0",
            "most crashes are an oops first; the machine goes on damaged and leaves no dump of it",
            "oopsight kdump setup, or sysctl kernel.panic_on_oops=1",
        )
    return ok("an oops panics, and so dumps")

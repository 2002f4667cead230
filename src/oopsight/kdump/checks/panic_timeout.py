"""``kernel.panic``: what happens after a panic where the capture kernel cannot be started."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, ok, unknown


def check(host: Host) -> Result:
    """Read the sysctl; the kernel's default of 0 is no fault, only something to know."""
    value = host.root.read_int("/proc/sys/kernel/panic")
    if value is None:
        return unknown("kernel.panic cannot be read")
    if value == 0:
        return ok(
            "kernel.panic is 0",
            "if the capture kernel cannot be started, the machine stands still until it is reset",
        )
    after = f"after {value} s" if value > 0 else "at once"
    return ok(f"kernel.panic is {value}: without a capture kernel, a panic reboots {after}")

"""``crashkernel=`` on the running kernel's command line: what is set later waits for a boot."""

from __future__ import annotations

from oopsight.kdump import cmdline
from oopsight.kdump.checks import Host, Result, fail, ok, unknown


def check(host: Host) -> Result:
    """Read /proc/cmdline."""
    line = host.machine.cmdline
    if line is None:
        return unknown("/proc/cmdline cannot be read")
    asked = cmdline.crashkernel(line, host.machine.ram or 0)
    if asked is None:
        return fail(
            "the running kernel was booted without crashkernel=",
            "no memory is reserved until the next boot",
            "configure it (oopsight kdump setup), then reboot",
        )
    return ok(f"the running kernel has crashkernel={asked.text}")

"""Memory really reserved: the kernel may have been asked and not have found a place."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, fail, ok, unknown


def check(host: Host) -> Result:
    """Read /proc/iomem, /sys/kernel/kexec_crash_size."""
    reserved = host.machine.reserved
    if reserved is None:
        return unknown("neither /proc/iomem nor /sys/kernel/kexec_crash_size tells")
    if reserved == 0:
        return fail(
            "no memory is reserved",
            "the capture kernel has no place to run",
            "see the kernel's log for 'crashkernel'; oopsight kdump setup, then reboot",
        )
    return ok(f"{reserved >> 20} MiB are reserved")

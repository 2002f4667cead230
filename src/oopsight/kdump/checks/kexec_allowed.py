"""``kernel.kexec_load_disabled``: hardening guides set it to 1, which forbids loading."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, fail, ok


def check(host: Host) -> Result:
    """Read the sysctl; once a capture kernel is loaded it does no harm."""
    if host.root.read_int("/proc/sys/kernel/kexec_load_disabled") == 1 and not host.machine.loaded:
        return fail(
            "kernel.kexec_load_disabled is 1",
            "no capture kernel can be loaded until the next boot",
            "set it after kdump is loaded, not before: see /etc/sysctl.d; then reboot",
        )
    return ok("loading a capture kernel is allowed")

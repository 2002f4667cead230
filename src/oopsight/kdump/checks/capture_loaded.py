"""The capture kernel is in memory: reserved memory with nothing in it writes no dump."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, fail, ok, unknown


def check(host: Host) -> Result:
    """Read /sys/kernel/kexec_crash_loaded."""
    loaded = host.machine.loaded
    if loaded is None:
        return unknown("/sys/kernel/kexec_crash_loaded cannot be read")
    if not loaded:
        return fail(
            "no capture kernel is loaded",
            "a panic ends in a plain reboot or a hang",
            f"systemctl restart {host.distro.service}; its journal says why it failed",
        )
    return ok("a capture kernel is loaded")

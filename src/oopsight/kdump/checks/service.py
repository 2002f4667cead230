"""The service that loads the capture kernel at boot: loaded by hand is gone after the next one."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, fail, ok


def check(host: Host) -> Result:
    """Look at systemd's links and the distribution's own switch."""
    distro, root = host.distro, host.root
    remedy = "oopsight kdump setup"
    meaning = "after the next boot no capture kernel is loaded"
    if distro.unit_masked(root):
        return fail(
            f"{distro.service} is masked", meaning, f"systemctl unmask --now {distro.service}"
        )
    if not distro.unit_enabled(root):
        return fail(f"{distro.service} is not enabled", meaning, remedy)
    off = distro.switched_off(root)
    if off:
        return fail(off, meaning, remedy)
    return ok(f"{distro.service} is enabled")

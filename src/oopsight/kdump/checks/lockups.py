"""Panic on lockups, hung tasks and NMI: what makes a dump of a machine that is stuck."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, ok

SETTINGS = {
    "softlockup_panic": "a CPU stuck in the kernel",
    "hardlockup_panic": "a CPU stuck with interrupts off",
    "hung_task_panic": "a task that waits for two minutes",
    "unknown_nmi_panic": "the NMI button",
}


def check(host: Host) -> Result:
    """Say which of them give a dump; which should is the admin's to decide, so never a warning."""
    values = {name: host.root.read_int(f"/proc/sys/kernel/{name}") for name in SETTINGS}
    on = [SETTINGS[name] for name, value in values.items() if value]
    off = [SETTINGS[name] for name, value in values.items() if not value]
    return ok(
        f"makes a dump: {', '.join(on) or 'none of these'}",
        f"is only logged: {', '.join(off)}" if off else "",
    )

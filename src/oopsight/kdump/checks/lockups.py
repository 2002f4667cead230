"""Panic on lockups, hung tasks and NMI: what makes a dump of a machine that is stuck."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, ok, unknown

SETTINGS = {
    "softlockup_panic": "a CPU stuck in the kernel",
    "hardlockup_panic": "a CPU stuck with interrupts off",
    "hung_task_panic": "a task that waits for two minutes",
    "unknown_nmi_panic": "the NMI button",
    "panic_on_rcu_stall": "a CPU that RCU waits for",
}


def check(host: Host) -> Result:
    """Say which of them give a dump; which should is the admin's to decide, so never a warning."""
    values = {name: host.root.read_int(f"/proc/sys/kernel/{name}") for name in SETTINGS}
    # A kernel built without a detector lacks its setting.
    there = {name: value for name, value in values.items() if value is not None}
    if not there:
        return unknown("the settings in /proc/sys/kernel cannot be read")
    on = [f"{SETTINGS[name]} ({name})" for name, value in there.items() if value]
    off = [f"{SETTINGS[name]} ({name})" for name, value in there.items() if not value]
    return ok(
        f"makes a dump: {', '.join(on) or 'none of these'}",
        f"is only logged: {', '.join(off)}" if off else "",
    )

"""``crashkernel=`` where the admin sets it: without it the next kernel reserves nothing."""

from __future__ import annotations

from oopsight.kdump import cmdline
from oopsight.kdump.checks import Host, Result, fail, ok, unknown

REMEDY = "oopsight kdump setup"


def check(host: Host) -> Result:
    """Read the sources of the command line, or the boot entries where there are no sources."""
    lines = host.distro.sources(host.root) or host.distro.boot_lines(host.root)
    if not lines:
        return unknown("the boot loader's configuration was not found")
    ram = host.machine.ram or 0
    found = None
    for path, line in lines.items():
        asked = cmdline.crashkernel(line, ram)
        if asked is None:
            continue
        found = f"crashkernel={asked.text} in {path}"
        if not asked.valid:
            return fail(found, "the kernel does not understand this and reserves nothing", REMEDY)
        if asked.text.endswith("auto") and not host.distro.knows_auto(host.machine.kernel):
            return fail(
                found,
                "only the kernels of RHEL up to 8 know auto; this one reserves nothing",
                REMEDY,
            )
        if asked.reserved == 0 and ram:
            return fail(
                f"{found}: no range covers {ram >> 20} MiB of RAM",
                "the kernel reserves nothing",
                REMEDY,
            )
    if found is None:
        boot = host.distro.boot_lines(host.root).values()
        if not boot or not all(cmdline.parameters(line, "crashkernel") for line in boot):
            return fail("no crashkernel= is configured", "no memory is reserved", REMEDY)
        found = "crashkernel= in the boot entries"
    whole = host.distro.effective_line(host.root)
    overridden = whole is not None and not cmdline.parameters(whole, "crashkernel")
    if overridden and " in /etc/default/" in found:
        return fail(
            f"{found}, but a later part of the configuration sets the variable anew",
            "the boot loader is generated without it, and the kernel reserves nothing",
            f"{REMEDY}, or let that part begin with the variable's old value",
        )
    return ok(found)

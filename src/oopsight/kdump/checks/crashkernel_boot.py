"""``crashkernel=`` in what the boot loader uses: configured but never generated is common."""

from __future__ import annotations

from oopsight.kdump import cmdline
from oopsight.kdump.checks import Host, Result, fail, ok, unknown


def check(host: Host) -> Result:
    """Read the boot entries."""
    lines = host.distro.boot_lines(host.root)
    if not lines:
        return unknown("no boot entries were found", "look into the boot loader in use")
    without = [
        where for where, line in lines.items() if not cmdline.parameters(line, "crashkernel")
    ]
    if without:
        return fail(
            f"{len(without)} of {len(lines)} boot entries have no crashkernel=: {without[0]}",
            "a boot into these reserves no memory",
            "oopsight kdump setup, which brings the boot loader up to date",
        )
    return ok(f"all {len(lines)} boot entries have crashkernel=")

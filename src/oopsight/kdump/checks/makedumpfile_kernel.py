"""makedumpfile against the running kernel: an old one misreads a new kernel's page flags."""

from __future__ import annotations

import re

from oopsight.kdump import makedumpfile
from oopsight.kdump.checks import Host, Result, ok, unknown, warn

USER_PAGES = 8
# Linux 6.10 made PG_slab a page type, as the pages of user space are told apart by; makedumpfile
# takes slabs for such pages until 1.7.6, and leaves the kernel's own data out.
SLAB_TYPE = (6, 10)
KNOWS_SLAB_TYPE = (1, 7, 6)


def check(host: Host) -> Result:
    """Compare the versions where a difference is known to spoil dumps."""
    tool = makedumpfile.read(host.root)
    if tool is None:
        return unknown("makedumpfile's version cannot be read")
    match = re.match(r"(\d+)\.(\d+)", host.machine.kernel)
    if match is None:
        return unknown("the running kernel's version cannot be read")
    kernel = (int(match[1]), int(match[2]))
    level = host.distro.dump_level(host.root)
    if kernel >= SLAB_TYPE and tool.version < KNOWS_SLAB_TYPE and level & USER_PAGES:
        return warn(
            f"{tool} with -d {level} on Linux {match[0]}",
            "it leaves out the kernel's own slabs, task structures among them, as if they were "
            "user pages; such a dump tells little",
            f"install makedumpfile 1.7.6 or later, or set -d {level & ~USER_PAGES}",
        )
    return ok(f"{tool} suits Linux {match[0]}, as far as known")

"""Space for a dump: a full disk gives vmcore-incomplete, which mostly cannot be read."""

from __future__ import annotations

import re

from oopsight.kdump import estimate
from oopsight.kdump.checks import Host, Result, fail, ok, unknown
from oopsight.kdump.target import Kind


def check(host: Host) -> Result:
    """Compare the free space with an estimate of the filtered dump, uncompressed."""
    target = host.distro.target(host.root)
    if target.kind is not Kind.PATH:
        return unknown(f"space at {target} is not measured from here")
    if host.machine.ram is None:
        return unknown("/proc/meminfo cannot be read")
    free = host.probe.free_bytes(target.path)
    if free is None:
        return unknown(f"free space at {target.path} cannot be measured from here")
    level = host.distro.dump_level(host.root)
    rows = re.findall(r"^(\w+):\s+(\d+) kB", host.root.read("/proc/meminfo") or "", re.MULTILINE)
    meminfo = {name: int(value) * 1024 for name, value in rows}
    size = estimate.dump_size(host.machine.ram, meminfo, level)
    numbers = (
        f"{free >> 20} MiB free at {target.path}, a dump of up to {size >> 20} MiB (-d {level})"
    )
    if free < size:
        return fail(
            numbers,
            "the dump is cut off where the disk is full",
            "make space, filter more (-d 31), or choose another target",
        )
    return ok(numbers)

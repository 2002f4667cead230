"""The reserved memory against what this machine needs: too little ends in an out-of-memory kill."""

from __future__ import annotations

from oopsight.kdump import need
from oopsight.kdump.checks import Host, Result, fail, ok, unknown


def check(host: Host) -> Result:
    """Compare with the estimate."""
    reserved, ram = host.machine.reserved, host.machine.ram
    if not reserved or ram is None:
        return unknown("what is reserved is not known, so it cannot be compared with the need")
    needed = need.of(host)
    parts = ", ".join(f"{part.what} {part.size >> 20}" for part in needed.parts)
    if reserved < needed.size:
        return fail(
            f"{reserved >> 20} MiB are reserved, an estimated {needed.size >> 20} MiB needed",
            f"the capture kernel runs out of memory before the dump is written (MiB: {parts})",
            "oopsight kdump setup --memory auto; oopsight kdump rehearse measures the need",
        )
    return ok(f"{reserved >> 20} MiB reserved, an estimated {needed.size >> 20} MiB needed")

"""Symbols of the running kernel: without them a dump says little beyond its log."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, ok

PLACES = (
    "/usr/lib/debug/boot/vmlinux-{0}",
    "/usr/lib/debug/lib/modules/{0}/vmlinux",
    "/usr/lib/debug/usr/lib/modules/{0}/vmlinux",
    "/usr/lib/debug/boot/vmlinux-{0}.debug",
    "/lib/modules/{0}/build/vmlinux",
)


def check(host: Host) -> Result:
    """Look where the distributions put vmlinux; they may as well be fetched after the crash."""
    kernel = host.machine.kernel
    for place in PLACES:
        if host.root.exists(place.format(kernel)):
            return ok(f"symbols of {kernel} are in {place.format(kernel)}")
    return ok(
        f"no symbols of {kernel or 'the running kernel'} on this host",
        "they are needed where the dump is read, not where it is made",
    )

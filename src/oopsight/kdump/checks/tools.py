"""The programs: kexec loads the capture kernel, makedumpfile filters and writes the dump."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, fail, ok

PROGRAMS = ("kexec", "makedumpfile")
FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")


def check(host: Host) -> Result:
    """Look for the programs and the distribution's service."""
    missing = [
        name
        for name in PROGRAMS
        if not any(host.root.exists(f"{folder}/{name}") for folder in FOLDERS)
    ]
    if not host.distro.unit_installed(host.root):
        missing.append(host.distro.service)
    if missing:
        return fail(
            f"not installed: {', '.join(missing)}",
            "nothing can load a capture kernel or write a dump",
            f"oopsight kdump setup, which installs {', '.join(host.distro.packages)}",
        )
    return ok(f"{', '.join(PROGRAMS)} and {host.distro.service} are installed")

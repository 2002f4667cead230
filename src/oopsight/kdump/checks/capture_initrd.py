"""The capture initrd of the running kernel: one of another has modules that do not load."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, fail, ok, unknown


def check(host: Host) -> Result:
    """Look for the initrd of the running version, and where a link leads."""
    kernel = host.machine.kernel
    if not kernel:
        return unknown("the running kernel's version cannot be read")
    path = host.distro.capture_initrd(host.root, kernel)
    remedy = f"systemctl restart {host.distro.service}, which builds it"
    if path is None:
        return fail(
            f"no capture initrd for {kernel}: {host.distro.capture_initrds(kernel)[0]}",
            "the capture kernel finds no disk and no program to save the dump with",
            remedy,
        )
    for link in ("/var/lib/kdump/initrd.img", "/var/lib/kdump/vmlinuz", "/var/lib/kdump/kernel"):
        target = host.root.read_link(link)
        if target is not None and kernel not in target:
            return fail(
                f"{link} leads to {target}, but {kernel} runs",
                "the capture kernel is of another version than its modules or the crashed kernel",
                remedy,
            )
    return ok(f"{path} is there")

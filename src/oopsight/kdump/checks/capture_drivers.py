"""The drivers in the capture initrd: without them the target's disk is not found."""

from __future__ import annotations

from oopsight.kdump import devices, initrd
from oopsight.kdump.checks import Host, Result, fail, ok, unknown

# RHEL's dracut packs most of the capture environment once more.
SQUASHED = ("squash-root.img", "squashfs-root.img")


def check(host: Host) -> Result:
    """Compare the modules that the way to the target needs with those in the initrd."""
    kernel = host.machine.kernel
    path = host.distro.capture_initrd(host.root, kernel) if kernel else None
    if path is None:
        return unknown("there is no capture initrd to look into")
    loadable = devices.loadable(host.root, kernel)
    if not loadable:
        return unknown(f"the modules of {kernel} cannot be listed")
    needed = devices.needed(host)
    if not needed:
        return unknown("which drivers the target needs does not show in /sys")
    try:
        files = _files(host, path)
    except initrd.UnreadableError as error:
        return unknown(f"{path} cannot be listed: {error}", f"lsinitramfs or lsinitrd {path}")
    held = {devices.module_name(name) for name in files if ".ko" in name}
    missing = sorted((needed & loadable) - held)
    if missing:
        return fail(
            f"{path} lacks {', '.join(missing)}",
            "the capture kernel cannot reach the place where the dump is to go",
            f"build it anew: {host.distro.rebuild(kernel)}",
        )
    there = sorted(needed & loadable) or ["all is built into the kernel"]
    return ok(f"the capture initrd has the target's drivers: {', '.join(there)}")


def _files(host: Host, path: str) -> frozenset[str]:
    files = initrd.names(host.root.locate(path))
    if not any(name.endswith(SQUASHED) for name in files):
        return files
    ran = host.probe.run(("lsinitrd", path))
    if ran is None or ran.code:
        raise initrd.UnreadableError("it holds a squashfs image, which only lsinitrd lists")
    return files | frozenset(line.split()[-1] for line in ran.out.splitlines() if line.strip())

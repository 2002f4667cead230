"""The target's file system: there, writable, and one that survives a reboot."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, fail, ok, unknown
from oopsight.kdump.machine import mount_of
from oopsight.kdump.target import Kind

VOLATILE = {"tmpfs", "ramfs"}
LINKS = {"UUID": "/dev/disk/by-uuid", "LABEL": "/dev/disk/by-label"}


def check(host: Host) -> Result:
    """Look at the mount under a folder, or at the device."""
    target = host.distro.target(host.root)
    if target.kind is Kind.DEVICE:
        return _device(host, target.where)
    if target.kind is not Kind.PATH:
        return ok(f"the target is not local: {target}")
    mount = mount_of(host.machine, target.path)
    if mount is None:
        return unknown(f"the file system of {target.path} was not found")
    if mount.kind in VOLATILE:
        return fail(
            f"{target.path} is on {mount.kind}",
            "it is memory: the dump is gone with the reboot that follows it",
            "oopsight kdump setup --target with a folder on a disk",
        )
    if mount.read_only:
        return fail(
            f"{mount.place} is mounted read-only",
            "the dump cannot be written",
            "mount it writable, or choose another target",
        )
    if not host.root.exists(target.path):
        return fail(
            f"{target.path} does not exist",
            "the capture environment may refuse to start or to write",
            f"mkdir {target.path}",
        )
    return ok(f"{target.path} is on {mount.source} ({mount.kind})")


def _device(host: Host, where: str) -> Result:
    kind, separator, name = where.partition("=")
    path = f"{LINKS[kind]}/{name}" if separator and kind in LINKS else where
    if not host.root.exists(path) and not host.root.is_link(path):
        return fail(
            f"the device {where} does not exist",
            "the dump has no place to go",
            "oopsight kdump setup --target with a device that is there",
        )
    return ok(f"the device {where} is there")

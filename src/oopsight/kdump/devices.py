"""Kernel modules that a dump's way to its target needs, from ``/sys``: disk, file system, network.

A device's drivers stand in the folders above it: ``/sys/class/block/vda1`` leads into
``/sys/devices/pci…/virtio2/block/vda/vda1``; what has a ``driver`` link on the way is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.kdump.machine import mount_of
from oopsight.kdump.target import Kind

if TYPE_CHECKING:
    from oopsight.kdump.checks import Host
    from oopsight.kdump.host import Root

MAX_DEPTH = 8
MODULES = ("/lib/modules", "/usr/lib/modules")
LINKS = {
    "UUID": "/dev/disk/by-uuid",
    "LABEL": "/dev/disk/by-label",
    "PARTUUID": "/dev/disk/by-partuuid",
    "PARTLABEL": "/dev/disk/by-partlabel",
}


def needed(host: Host) -> frozenset[str]:
    """Return the modules that the capture initrd must hold; empty if none could be told.

    Where the capture environment goes on in the host's own root file system, as Debian's does, it
    is the root's device that the initrd must reach; else the target's.
    """
    target = host.distro.target(host.root)
    if host.distro.captures_in_root:
        return _of_place(host, "/")
    if target.kind is Kind.PATH:
        return _of_place(host, target.path)
    if target.kind is Kind.DEVICE:
        device = block_name(host.root, target.where)
        return _of_block(host.root, device, 0) | {target.filesystem} if device else frozenset()
    if target.kind in {Kind.NFS, Kind.SSH}:
        nfs = {"nfs"} if target.kind is Kind.NFS else set()
        return _of_network(host.root) | nfs
    return frozenset()


def loadable(root: Root, kernel: str) -> frozenset[str]:
    """Return the modules of a kernel that are files; others are built in, or no modules at all."""
    for folder in MODULES:
        text = root.read(f"{folder}/{kernel}/modules.dep")
        if text is not None:
            return frozenset(module_name(line.split(":", 1)[0]) for line in text.splitlines())
    return frozenset()


def module_name(path: str) -> str:
    """Return the name by which the kernel knows a module's file.

    >>> module_name("kernel/drivers/block/virtio-blk.ko.xz")
    'virtio_blk'
    """
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def block_name(root: Root, where: str) -> str | None:
    """Return the kernel's name (``vda1``, ``dm-0``) of a device, as a path or ``UUID=…``."""
    kind, separator, name = where.partition("=")
    path = f"{LINKS[kind]}/{name}" if separator and kind in LINKS else where
    if not path.startswith("/dev/"):
        return None
    found = root.resolve(path).rsplit("/", 1)[1]
    if root.exists(f"/sys/class/block/{found}"):
        return found
    mapped = path.removeprefix("/dev/mapper/")
    for file in root.glob("/sys/class/block/dm-*/dm/name"):
        if (root.read(file) or "").strip() == mapped:
            return file.split("/")[4]
    return None


def _of_place(host: Host, path: str) -> frozenset[str]:
    mount = mount_of(host.machine, path)
    device = block_name(host.root, mount.source) if mount else None
    if mount is None or device is None:
        return frozenset()
    return _of_block(host.root, device, 0) | {mount.kind}


def _of_block(root: Root, name: str, depth: int) -> frozenset[str]:
    """A device's modules, and those of the devices that it is made of."""
    if depth > MAX_DEPTH:
        return frozenset()
    folder = f"/sys/class/block/{name}"
    found = set(drivers(root, folder))
    if name.startswith("dm-"):
        found.add("dm_mod")
        if (root.read(f"{folder}/dm/uuid") or "").startswith("CRYPT-"):
            found.add("dm_crypt")
    level = (root.read(f"{folder}/md/level") or "").strip()
    if level.startswith("raid"):
        found.add("raid456" if level in {"raid4", "raid5", "raid6"} else level)
    for slave in root.glob(f"{folder}/slaves/*"):
        found |= _of_block(root, slave.rsplit("/", 1)[1], depth + 1)
    return frozenset(found)


def _of_network(root: Root) -> frozenset[str]:
    """The modules of the interface that the default route leaves by."""
    rows = [line.split() for line in (root.read("/proc/net/route") or "").splitlines()[1:]]
    names = [row[0] for row in rows if len(row) > 7 and row[1] == "00000000"]
    found: set[str] = set()
    for name in names[:1]:
        folder = f"/sys/class/net/{name}"
        # Bonds, bridges and VLANs stand on others.
        lowers = [path.rsplit("/lower_", 1)[1] for path in root.glob(f"{folder}/lower_*")]
        for each in lowers or [name]:
            found |= set(drivers(root, f"/sys/class/net/{each}/device"))
    return frozenset(found)


def whole_disks(root: Root, name: str, depth: int = 0) -> frozenset[str]:
    """Return the disks that a block device is, or is made of."""
    if depth > MAX_DEPTH:
        return frozenset()
    folder = f"/sys/class/block/{name}"
    slaves = root.glob(f"{folder}/slaves/*")
    if slaves:
        each = (whole_disks(root, path.rsplit("/", 1)[1], depth + 1) for path in slaves)
        return frozenset(disk for disks in each for disk in disks)
    if root.exists(f"{folder}/partition"):
        return frozenset({root.resolve(folder).rsplit("/", 2)[1]})
    return frozenset({name})


def drivers(root: Root, path: str) -> list[str]:
    """Modules of the drivers from a device upwards to the root of all devices."""
    found = []
    here = root.resolve(path)
    while here.startswith("/sys/devices/"):
        driver = root.read_link(f"{here}/driver")
        if driver is not None:
            place = root.resolve(f"{here}/driver")
            module = root.read_link(f"{place}/module") or driver
            found.append(module_name(module))
        here = here.rsplit("/", 1)[0]
    return found

"""The memory that this host needs for a dump: the estimate fed with what the host shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from oopsight.kdump import estimate
from oopsight.kdump.machine import mount_of
from oopsight.kdump.target import Kind

if TYPE_CHECKING:
    from oopsight.kdump.checks import Host

# Where a LUKS2 header's JSON begins, and its usual length (cryptsetup, on-disk format).
JSON_OFFSET = 4096
JSON_LENGTH = 12288


def of(host: Host) -> estimate.Need:
    """Estimate the need for the configured target."""
    machine = host.machine
    target = host.distro.target(host.root)
    return estimate.memory(
        machine.ram or 0, machine.cpus, machine.block_devices, target, luks(host)
    )


def luks_device(host: Host) -> str | None:
    """Return the encrypted device under a local target, as ``/sys/block`` names its holder."""
    target = host.distro.target(host.root)
    if target.kind not in {Kind.PATH, Kind.DEVICE}:
        return None
    if target.kind is Kind.DEVICE:
        source = target.where
    else:
        mount = mount_of(host.machine, target.path)
        source = mount.source if mount else ""
    for uuid in host.root.glob("/sys/block/dm-*/dm/uuid"):
        block = uuid.split("/")[3]
        name = (host.root.read(f"/sys/block/{block}/dm/name") or "").strip()
        if not source or source not in {f"/dev/mapper/{name}", f"/dev/{block}"}:
            continue
        if re.match(r"CRYPT-LUKS", host.root.read(uuid) or ""):
            return block
    return None


def luks(host: Host) -> int:
    """Return the Argon2 memory cost of the target's key slots in bytes, 0 without encryption."""
    block = luks_device(host)
    if block is None:
        return 0
    areas = []
    for slave in host.root.glob(f"/sys/block/{block}/slaves/*"):
        device = host.root.read_prefix(f"/dev/{slave.rsplit('/', 1)[1]}", JSON_OFFSET + JSON_LENGTH)
        areas.append(device[JSON_OFFSET:])
    return estimate.luks_memory(areas)

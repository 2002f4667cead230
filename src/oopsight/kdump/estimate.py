"""How much memory the capture kernel needs, and how big the dump becomes: estimates, said as such.

Only ``rehearse`` and a real crash prove that memory suffices. Measured so, Debian 12's capture
environment (systemd on the host's root, cloud kernel 6.1, virtio disks) uses 104 MiB: with 96 it
runs out of memory, with 128 the dump is written. That is the base; the other parts are from what
distributions document:

* the kernel, its initrd and the user space that saves the dump
* the page bitmap of makedumpfile and the page tables of the old memory, which grow with the RAM
* per-CPU areas of the drivers, although the capture kernel runs on one CPU
* a LUKS key slot with Argon2, which needs its memory cost again to be opened
* NFS or SSH: the network stack, its drivers and their receive buffers
* each block device
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

from oopsight.kdump.cmdline import MiB
from oopsight.kdump.target import Kind, Target

BASE = 128 * MiB
PER_TIB = 64 * MiB
PER_64_CPUS = 16 * MiB
NETWORK = 64 * MiB
PER_DEVICE = MiB // 4
ROUND = 32 * MiB


@dataclass(frozen=True)
class Part:
    """One contribution to the need, in bytes."""

    what: str
    size: int


@dataclass(frozen=True)
class Need:
    """The estimated need and what it is made of. Bytes, rounded up to 32 MiB."""

    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Total in bytes."""
        return math.ceil(sum(part.size for part in self.parts) / ROUND) * ROUND


def memory(ram: int, cpus: int, devices: int, target: Target, luks: int = 0) -> Need:
    """Estimate what the capture kernel needs.

    :param luks: the memory cost of the target's key slot, bytes; 0 if it is not encrypted
    """
    parts = [
        Part("kernel, initrd and the programs that save the dump", BASE),
        Part("bitmap and page tables for the RAM", ram_part(ram)),
        Part("per-CPU areas", cpus * PER_64_CPUS // 64),
        Part("block devices", devices * PER_DEVICE),
    ]
    if target.kind in {Kind.NFS, Kind.SSH}:
        parts.append(Part("network target", NETWORK))
    if luks:
        parts.append(Part("opening the LUKS key slot", luks))
    return Need(tuple(part for part in parts if part.size))


def ram_part(ram: int) -> int:
    """Return the part of the need that grows with the RAM, in bytes."""
    return math.ceil(ram * PER_TIB / (1 << 40))


def luks_memory(metadata: Iterable[bytes]) -> int:
    """Return the largest Argon2 memory cost, in bytes, of LUKS2 headers' JSON areas; 0 if none."""
    return max((cost for area in metadata for cost in _costs(area)), default=0)


def _costs(area: bytes) -> list[int]:
    try:
        slots = json.loads(area.split(b"\0", 1)[0]).get("keyslots", {})
        return [int(slot["kdf"].get("memory", 0)) << 10 for slot in slots.values()]
    except (ValueError, AttributeError, KeyError, TypeError):
        return []


def dump_size(ram: int, meminfo: dict[str, int], level: int) -> int:
    """Estimate the dump in bytes, before compression: the worst case that still is likely.

    :param meminfo: ``/proc/meminfo`` in bytes, of the machine under its usual load
    :param level: makedumpfile's ``-d``; bits 2 and 4 leave out the page cache, 8 user data, 16 free
    """
    left_out = 0
    if level & 2:
        left_out += meminfo.get("Cached", 0) + meminfo.get("Buffers", 0)
    if level & 8:
        left_out += meminfo.get("AnonPages", 0)
    if level & 16:
        left_out += meminfo.get("MemFree", 0)
    return max(ram - left_out, ram // 64)

"""Why the hardware started anew, where it says so: watchdogs, and firmware's records."""

from __future__ import annotations

import re
from dataclasses import dataclass

from oopsight.kdump.host import Root

# Bits of WDIOC_GETBOOTSTATUS, see Documentation/watchdog/watchdog-api.rst.
BOOT_STATUS = {
    0x20: "the watchdog reset the machine",
    0x01: "the machine was reset because it was too hot",
    0x02: "the machine was reset because a fan failed",
    0x10: "the machine was reset because its voltage was too low",
    0x40: "the machine was reset because its voltage was too high",
}
# What the kernel says at boot of the boot before.
MESSAGES = (
    re.compile(r"x86/amd: Previous system reset reason \[[^\]]*\]: (.*)"),
    re.compile(r"(BERT: Error records from previous boot.*)"),
    re.compile(r"(Hardware error from previous boot.*)", re.IGNORECASE),
)


@dataclass(frozen=True)
class Reset:
    """A sentence, and the record that shows it."""

    why: str
    record: str


def find(root: Root, kernel_log: list[str]) -> list[Reset]:
    """Return what the hardware says about the last reset."""
    found = []
    for path in root.glob("/sys/class/watchdog/watchdog*/bootstatus"):
        status = root.read_int(path) or 0
        found += [
            Reset(why, f"{path}: {status}") for bit, why in BOOT_STATUS.items() if status & bit
        ]
    for line in kernel_log:
        for pattern in MESSAGES:
            match = pattern.search(line)
            if match:
                found.append(Reset(f"the hardware's own record: {match[1]}", line))
    return found

"""What the kernel says of its memory on the console: SysRq-m, and the out-of-memory killer.

Formats: mm/show_mem.c (lib/show_mem.c before 6.3) and mm/oom_kill.c of the kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PAGE = 4096
COUNTERS = ("active_file", "inactive_file", "mapped", "slab_reclaimable", "free")
SAMPLE = re.compile(r"Mem-Info:(.*?)(\d+) pages RAM\b", re.DOTALL)
RESERVED = re.compile(r"(\d+) pages reserved")
OUT_OF_MEMORY = re.compile(
    r"Out of memory: Killed process \d+ \(([^)]*)\)"
    r"|Kernel panic - not syncing: (System is deadlocked on memory|Out of memory[^\n]*)"
    r"|(Initramfs unpacking failed: write error|incomplete write \(-?\d+ != \d+\))"
    r"|([\w:.-]+: page allocation failure)"
)


@dataclass(frozen=True)
class Sample:
    """One look at the memory: bytes that the kernel manages, and those that were not to be had."""

    managed: int
    used: int


def samples(console: str) -> list[Sample]:
    """Return what each SysRq-m printed; what is torn by other messages is left out.

    Files that no program maps can be given back, as part of the slabs; all else counts as used.
    """
    found = []
    for match in SAMPLE.finditer(console):
        counters = {name: _counter(match[1], name) for name in COUNTERS}
        if None in counters.values():
            continue
        values = {name: value or 0 for name, value in counters.items()}
        reserved = RESERVED.search(console, match.end(), match.end() + 2000)
        managed = int(match[2]) - (int(reserved[1]) if reserved else 0)
        files = max(values["active_file"] + values["inactive_file"] - values["mapped"], 0)
        idle = values["free"] + files + values["slab_reclaimable"] // 2
        found.append(Sample(managed * PAGE, max(managed - idle, 0) * PAGE))
    return found


def peak(console: str) -> int | None:
    """Return the most bytes used, what the kernel never manages among them; ``None`` if unseen.

    The kernel's own image and what it sets aside at boot is not managed: the caller adds it.
    """
    seen = samples(console)
    return max(sample.used for sample in seen) if seen else None


def shortage(console: str) -> str | None:
    """Return the first message about memory that was not to be had."""
    match = OUT_OF_MEMORY.search(console)
    return match[0].strip() if match else None


def _counter(text: str, name: str) -> int | None:
    match = re.search(rf"(?<![\w]){name}:(\d+)", text)
    return int(match[1]) if match else None

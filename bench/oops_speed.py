"""How fast a long boot log with one oops at its end is read, and in how much memory."""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Iterator

from oopsight.oops import parse_blocks

WORDS = [
    *(
        "usb",
        "eth0",
        "pci",
        "0000:00:1f.2",
        "link",
        "becomes",
        "ready",
        "ahci",
        "nvme",
        "controller",
    ),
    *("reset", "enabled", "device", "found", "registered", "systemd", "Started", "Mounted", "ext4"),
]
OOPS = (
    b"BUG: kernel NULL pointer dereference, address: 0000000000000010\n"
    b"Oops: 0000 [#1] SMP\nCPU: 1 PID: 77 Comm: reader Not tainted 6.1.0 #1\n"
    b"RIP: 0010:widget_read+0x1a/0x40\nCall Trace:\n vfs_read+0x9d/0x2a0\n"
)
BLOCK = 1 << 18


def log(size: int) -> Iterator[bytes]:
    """Pieces of a log of about so many bytes."""
    chance = random.Random(1)
    lines = (
        f"[{number / 50:12.6f}] {' '.join(chance.choices(WORDS, k=chance.randint(4, 12)))}\n"
        for number in range(40000)
    )
    chunk = "".join(lines).encode()
    pieces = [chunk[at : at + BLOCK] for at in range(0, len(chunk), BLOCK)]
    written = 0
    while written < size:
        for piece in pieces:
            yield piece
            written += len(piece)
    yield OOPS


def main() -> None:
    """Read it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    args = parser.parse_args()
    wall, processor = time.perf_counter(), time.process_time()
    reports = list(parse_blocks(log(args.megabytes * 1_000_000)))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{len(reports)} report: {reports[0].title}, at line {reports[0].first_line + 1}")
    print(
        f"{args.megabytes / wall:.0f} MB/s by the clock, {args.megabytes / processor:.0f} MB/s of "
        f"processor time, {peak} MiB at most"
    )


if __name__ == "__main__":
    main()

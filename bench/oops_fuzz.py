"""Mutates console logs byte by byte and parses what comes of it: no exception, no slow case.

Meant for the night: a million mutations take a few hours on one core. A failing input is written
beside the report, and the seed printed with each finding makes it again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from pathlib import Path

from oopsight.oops import decoded, parse_blocks
from oopsight.oops.document import document

# Parsing is linear: a log of a few hundred lines that takes this long has met a bad pattern.
SLOWEST = 2.0
LONGEST = 1 << 16
WORDS = (
    b"\n",
    b"\r",
    b"\x00",
    b"\x1b[31m",
    b"<4>",
    b"[  1.000000]",
    b"[ T12]",
    b"[ C1]",
    b"Call Trace:\n",
    b"Oops: 0000 [#1]\n",
    b"BUG: ",
    b"WARNING: ",
    b"------------[ cut here ]------------\n",
    b"RIP: 0010:",
    b"Code: ",
    b"<ff>",
    b"{}",
    b"%s",
    b"{function}",
    b"\xff\xfe",
    b"+0x1/0x2",
    b"a" * 300,
    b"Modules linked in:",
    b"=" * 66,
    b" at: ",
    b"** 9 printk messages dropped **",
    b"Panic#1 Part1\n",
)


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One log with a few changes: bytes, lines, words of reports, pieces of another log."""
    text = bytearray(data[:LONGEST])
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(text) + 1)
        what = chance.randrange(7)
        if what == 0 and text:
            text[at % len(text)] = chance.randrange(256)
        elif what == 1:
            del text[at : at + chance.randint(1, 200)]
        elif what == 2:
            text[at:at] = chance.choice(WORDS)
        elif what == 3:
            text[at:at] = text[at : at + chance.randint(1, 400)] * chance.randint(1, 4)
        elif what == 4:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            text[at:at] = other[begin : begin + chance.randint(1, 2000)]
        elif what == 5:
            lines = text.split(b"\n")
            chance.shuffle(lines)
            text = bytearray(b"\n".join(lines))
        else:
            text[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 40)))
    return bytes(text[: LONGEST * 2])


def parse(data: bytes, chance: random.Random) -> None:
    """Parse in blocks of a random size and make the document."""
    size = chance.choice((64, 1000, 1 << 18))
    blocks = (data[at : at + size] for at in range(0, len(data), size))
    document("fuzz", [decoded(report) for report in parse_blocks(blocks)])


def main() -> int:
    """Run, report, and say by the exit code whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="of logs")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, default=Path("/tmp"), help="where failing inputs go")
    args = parser.parse_args()
    logs = [path.read_bytes() for path in sorted(args.directory.rglob("*.log"))]
    if not logs:
        parser.error(
            f"{args.directory}: no *.log there; name a directory of logs (make fuzz LOGS=DIR)"
        )
    bad = 0
    slowest = 0.0
    started = time.monotonic()
    for number in range(args.seed, args.seed + args.count):
        chance = random.Random(number)
        data = mutated(chance.choice(logs), logs, chance)
        before = time.process_time()
        try:
            parse(data, chance)
        except Exception:  # noqa: BLE001 - what is looked for
            bad += 1
            print(f"seed {number}: exception\n{traceback.format_exc()}", flush=True)
            (args.save / f"oops-fuzz-{number}.log").write_bytes(data)
        took = time.process_time() - before
        slowest = max(slowest, took)
        if took > SLOWEST:
            bad += 1
            print(f"seed {number}: {took:.1f} s for {len(data)} bytes", flush=True)
            (args.save / f"oops-fuzz-{number}.log").write_bytes(data)
    rate = args.count / (time.monotonic() - started)
    print(f"{args.count} mutations, {bad} bad, slowest {slowest:.2f} s, {rate:.0f} a second")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""``/var/log/wtmp``: when the machine booted, and whether it was shut down before that.

Records are the C library's ``struct utmp`` of 384 bytes on 64-bit Linux, see utmp(5). Those of
boots and shutdowns are read; hosts without the file, as Debian's since 13, have nothing to say.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from oopsight.kdump.host import Root

PATH = "/var/log/wtmp"
# type, process, line, ID, user, host, two exit codes, session; then seconds, µs and the address
RECORD = struct.Struct("<h2xi32s4s32s256shhiii16s20x")
RUN_LEVEL = 1
BOOT = 2


@dataclass(frozen=True)
class Run:
    """One run of the machine: seconds since the epoch; ``shut_down`` is ``None`` without record."""

    booted: int
    shut_down: int | None


def runs(root: Root) -> list[Run]:
    """Return the machine's runs, the newest last."""
    content = root.read_bytes(PATH) or b""
    found: list[Run] = []
    for record in RECORD.iter_unpack(content[: len(content) // RECORD.size * RECORD.size]):
        kind, user, seconds = record[0], record[4], record[9]
        if kind == BOOT:
            found.append(Run(seconds, None))
        elif kind == RUN_LEVEL and user.startswith(b"shutdown") and found:
            found[-1] = Run(found[-1].booted, seconds)
    return found

"""The installed makedumpfile, read from its binary: it need not run, so any tree will do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from oopsight.kdump.host import Root

PLACES = ("/usr/bin/makedumpfile", "/usr/sbin/makedumpfile", "/sbin/makedumpfile")
# Its options for compression; zlib is always built in.
COMPRESSIONS = {"-c": "zlib", "-l": "lzo", "-p": "snappy", "-z": "zstd"}


@dataclass(frozen=True)
class Makedumpfile:
    """Its version, such as ``(1, 7, 2)``, and the compressions that it was built with."""

    version: tuple[int, ...]
    compressions: frozenset[str]

    def __str__(self) -> str:
        return "makedumpfile " + ".".join(str(number) for number in self.version)


def read(root: Root) -> Makedumpfile | None:
    """Read the strings that ``makedumpfile -v`` prints; ``None`` if it is not there or has none."""
    for place in PLACES:
        binary = root.read_bytes(place) or b""
        match = re.search(rb"makedumpfile: version (\d+(?:\.\d+)*)", binary)
        if match:
            version = tuple(int(number) for number in match[1].split(b"."))
            enabled = re.findall(rb"(lzo|snappy|zstd)\tenabled", binary)
            return Makedumpfile(version, frozenset({"zlib", *(name.decode() for name in enabled)}))
    return None


def compression(options: str) -> str | None:
    """Return the compression that makedumpfile's options ask for, ``None`` for none.

    >>> compression("-l --message-level 7 -d 31")
    'lzo'
    """
    words = options.split()
    return next((name for option, name in COMPRESSIONS.items() if option in words), None)

"""Takes out of a minicore what names the machine, its network and what was asked of it.

Every text is overwritten with as many characters, so that all else stays where it is. Pages which
lie beside each other in memory are searched as one, since texts do not end with a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from oopsight.minicore.record import PAGE

_IPV4 = rb"(?<![\d.])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?![\d.])"
_MAC = rb"(?<![0-9A-Fa-f:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![0-9A-Fa-f:-])"
_IPV6 = rb"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{1,4}:){3,7}(?::?[0-9A-Fa-f]{1,4}){1,4}(?![0-9A-Fa-f:])"
_MAIL = rb"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}"
# Assignments of an environment, as exec keeps them: at the beginning of a string.
_ENVIRONMENT = rb"(?<=\0)[A-Z][A-Z0-9_]{2,40}=[^\0]{1,4096}(?=\0)"
_SHORTEST = 3
_FILL = {ord(b"."): ord(b"."), ord(b":"): ord(b":"), ord(b"-"): ord(b"-"), ord(b"="): ord(b"=")}


def _filled(match: re.Match[bytes]) -> bytes:
    """As long as the text; what gives it its shape stays."""
    return bytes(_FILL.get(byte, ord("x")) for byte in match[0])


def _runs(frames: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First frame and length of each run of neighbouring pages."""
    start = previous = None
    for frame in frames:
        if previous is None or frame != previous + 1:
            if start is not None and previous is not None:
                yield start, previous - start + 1
            start = frame
        previous = frame
    if start is not None and previous is not None:
        yield start, previous - start + 1


def scrub(pages: dict[int, bytes], texts: Sequence[bytes]) -> int:
    """Overwrite the texts, and whatever looks like an address or an environment, in place.

    :param pages: by page frame number
    :param texts: what is known to be private: host name, command lines
    :return: how many texts were overwritten
    """
    known = sorted({text for text in texts if len(text) >= _SHORTEST}, key=len, reverse=True)
    patterns = [*(re.escape(text) for text in known), _ENVIRONMENT, _MAC, _IPV4, _IPV6, _MAIL]
    found = 0
    for pattern in [re.compile(pattern) for pattern in patterns]:
        for start, length in list(_runs(sorted(pages))):
            data = b"".join(pages[frame] for frame in range(start, start + length))
            changed, count = pattern.subn(_filled, data)
            if count:
                found += count
                for index in range(length):
                    pages[start + index] = changed[index * PAGE : (index + 1) * PAGE]
    return found

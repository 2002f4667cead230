"""Logs that pstore kept in parts: the parts put in order.

The kernel writes its log from the end, a piece a record, each headed ``Panic#1 Part2``: part 1 is
the last piece of the log. Files of one crash come in any order.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

# What a firmware or RAM store holds at most, many times over.
MOST_BYTES = 64 << 20


@functools.cache
def _head() -> re.Pattern[bytes]:
    return re.compile(
        rb"^(Panic|Oops|Emergency|Shutdown|Restart|Halt|Poweroff|Unknown)"
        rb"#(\d{1,6}) Part(\d{1,6})\r?\n",
        re.MULTILINE,
    )


def is_part(start: bytes) -> bool:
    """Whether a file that starts so is a part of a log."""
    return _head().match(start) is not None


def ordered(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""The pieces of a log, those of pstore in the order in which they were logged.

    >>> b"".join(ordered([b"Oops#1 Part1\nlater\n", b"Oops#1 Part2\nearlier\n"]))
    b'earlier\nlater\n'
    """
    pieces = iter(blocks)
    first = next(pieces, b"")
    if not is_part(first):
        yield first
        yield from pieces
        return
    held = [first]
    size = len(first)
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            break
    data = b"".join(held)
    heads = list(_head().finditer(data))
    parts = []
    for number, head in enumerate(heads):
        end = heads[number + 1].start() if number + 1 < len(heads) else len(data)
        text = data[head.end() : end]
        if text and not text.endswith(b"\n") and int(head[3]) == 1:
            text += b"\n"
        parts.append((int(head[2]), -int(head[3]), number, text))
    for _, _, _, text in sorted(parts):
        yield text
    yield from pieces

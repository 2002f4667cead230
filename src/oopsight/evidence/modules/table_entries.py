"""Entries of tables of structures, as code reads them by their index."""

from __future__ import annotations

import re

_INDEXED = re.compile(
    r"qword ptr \[(?!rsp)r\w+ \+ (?!rsp)r\w+(?:\*[124])?"
    r"(?: (?P<sign>[+-]) (?P<offset>0x[0-9a-f]+|\d+))?\]"
)


def entry_key(operand: str) -> int | None:
    """The key of a pointer in an entry, of the table's beginning and an index that is scaled.

    >>> entry_key("qword ptr [rdx + rbp + 0x50]"), entry_key("qword ptr [rbp + 0x50]")
    (80, None)
    """
    found = _INDEXED.fullmatch(operand)
    if found is None:
        return None
    offset = int(found["offset"] or "0", 0)
    return (-offset if found["sign"] == "-" else offset) & (1 << 64) - 1

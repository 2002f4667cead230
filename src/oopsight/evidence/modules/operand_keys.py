"""Keys of what memory operands lead to, as code has them: how far it is from a pointer.

A variable's is its address, a per-CPU variable's how far it is from where the CPU's area begins.
All entries of a table have the key of the first.
"""

from __future__ import annotations

import re

MASK = (1 << 64) - 1
_OFFSET = r"(?P<sign>[+-]) (?P<offset>0x[0-9a-f]+|\d+)"
PLACE = re.compile(
    r"(?:(?P<size>[qd]?word|byte) ptr )?(?:gs:(?=\[(?:rip|0x[0-9a-f]{4})))?"
    r"\[(?:(?P<base>r\w+)(?: (?P<sign>[+-]) )?)?(?P<offset>0x[0-9a-f]+|\d+)?\]$"
)
"""Of one register, or of none."""
IN_TABLE = re.compile(rf"qword ptr \[(?:(?P<base>r\w+) \+ )?r\w+\*8(?: {_OFFSET})?\]")
"""An entry of a table of pointers, by its index; of the table in a variable without a base."""
ENTRY = re.compile(rf"\[(?P<base>r(?!sp|ip)\w+) \+ r\w+(?: {_OFFSET})?\]")
"""A place in an entry of such a table, of which the address is taken."""
_IN_ENTRY = re.compile(rf"qword ptr \[(?!rsp)r\w+ \+ (?!rsp)r\w+(?:\*[124])?(?: {_OFFSET})?\]")
"""A pointer in an entry of a table of structures, by an index that is scaled before."""


def in_table(place: str) -> bool:
    """Whether a memory operand is an entry of a table of pointers, told by an index."""
    return IN_TABLE.fullmatch(place) is not None


def key_of(place: str) -> int | None:
    """The key of a memory operand: its displacement; without a base register, its address.

    >>> key_of("qword ptr [rbx + 0x18]"), key_of("qword ptr [r12]"), key_of("qword ptr [rsp + 8]")
    (24, 0, None)
    >>> key_of("qword ptr [rbx + rax*8 + 0x18]")
    24
    """
    found = PLACE.fullmatch(place) or IN_TABLE.fullmatch(place)
    if found is None or found["base"] in ("rsp", "rip"):
        return None
    return displacement(found) & MASK


def entry_key(place: str) -> int | None:
    """The key of a pointer within an entry of a table of structures.

    >>> entry_key("qword ptr [rdx + rbp + 0x50]"), entry_key("qword ptr [rbp + 0x50]")
    (80, None)
    """
    found = _IN_ENTRY.fullmatch(place)
    return displacement(found) & MASK if found is not None else None


def displacement(found: re.Match[str]) -> int:
    """Of an operand that one of these has matched, with its sign."""
    offset = int(found["offset"] or "0", 0)
    return -offset if found["sign"] == "-" else offset

"""Who moves a list's entries to another and leaves the old head as it is.

``list_splice()`` and ``list_splice_tail()`` do so, and ``list_replace()``: the old head still leads
to entries that are on another list by then, until somebody sets it up anew, as
``list_splice_init()`` does.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.evidence.modules.code_values import Value, root_of, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.operand_keys import MASK

_NEXT, _PREV = 0, 8  # offsets in struct list_head
_SHORT_LIVED = ("stack", "returned")
"""Heads on the function's own stack, or in what it has made: nobody else goes by these."""


def splicing(uses: dict[str, FieldUse]) -> tuple[str, ...]:
    """Functions that put another list's neighbours at both ends of one, and do not empty its head.

    A deletion connects the two ends with each other.
    """
    return tuple(name for name, use in uses.items() if any(_left_heads(use)))


def _left_heads(use: FieldUse) -> Iterator[Value]:
    """The first entries of the lists that are moved away, as their heads still have them."""
    gone = {within(value)[0] for _, value in use.freed}
    stored = [
        (key, base, value)
        for (key, base), (_, value) in zip(use.written, use.pointers, strict=True)
        if base is not None and base.kind == "loaded"
    ]
    for key, first, before in stored:
        last = Value("loaded", (first.number + _PREV) & MASK, first.of)
        behind = [v for k, base, v in stored if k == _NEXT and base == last]
        if key != _PREV or not behind or before == last or first in behind:
            continue
        head = {(first.number, first.of), (last.number, last.of)}
        root = root_of(first)
        if not head & set(use.written) and root.kind not in _SHORT_LIVED and root not in gone:
            yield first

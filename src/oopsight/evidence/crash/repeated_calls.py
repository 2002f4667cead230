"""Calls that repeat on a stack, as of a function that calls itself without end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from oopsight.evidence.crash.backtrace import Frame

_FEWEST = 4
"""Times that a sequence must repeat to be called recursion."""
_LONGEST = 64


class Repeated(NamedTuple):
    """The innermost sequence of calls that repeats."""

    cycle: tuple[Frame, ...]
    times: int
    size: int
    """Bytes of stack that it takes."""
    sp: int
    """The stack pointer where it has begun to be whole: the innermost may not be."""


def repeated(frames: Sequence[Frame]) -> Repeated | None:
    """Find the innermost sequence that repeats; ``None`` where none does.

    :param frames: without inlined ones, innermost first
    """
    frames = [f for f in frames if not f.function.startswith("0x")]
    names = [f.function for f in frames]
    counts = Counter(names)
    start = next((i for i, name in enumerate(names) if counts[name] >= _FEWEST), None)
    while start is not None and start < len(names):
        for length in range(1, min(_LONGEST, len(names) - start) + 1):
            times = _repeats(names, start, length)
            if times >= _FEWEST:
                cycle = tuple(frames[start : start + length])
                whole = frames[start + length].sp
                return Repeated(cycle, times, frames[start + 2 * length].sp - whole, whole)
        start = next((i for i in range(start + 1, len(names)) if counts[names[i]] >= _FEWEST), None)
    return None


def _repeats(names: list[str], start: int, length: int) -> int:
    pattern = names[start : start + length]
    times = 0
    while names[start + times * length : start + (times + 1) * length] == pattern:
        times += 1
    return times

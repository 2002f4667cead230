"""Calls of a function of which only one is carried out: on either side of a branch. x86-64.

``if (port->polled) setup_polled(port); else setup_queued(port);``
"""

from __future__ import annotations

from oopsight.kernel.code_locks import Function

_MOST_BRANCHES = 200


def instead(function: Function, one: int, other: int) -> bool:
    """Whether a branch leads to one place or to the other, and from neither on to the other.

    In a loop, not in the same round.
    """
    branches = [row for row in function.code.values() if len(function.ways(row)) > 1]
    for branch in branches[:_MOST_BRANCHES]:
        sides = [_reached(function, way, branch.address) for way in function.ways(branch)]
        if sorted((one in side, other in side) for side in sides) == [(False, True), (True, False)]:
            return True
    return False


def _reached(function: Function, begin: int, stop: int) -> set[int]:
    """Where the code can come to from a place and does not pass another."""
    found: set[int] = set()
    waiting = [begin]
    while waiting:
        at = waiting.pop()
        if at in found or at == stop or at not in function.code:
            continue
        found.add(at)
        waiting += function.ways(function.code[at])
    return found

"""Where code calls a function directly, or takes its address, by its bytes.

Fast, but sure only with a decoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from oopsight.kernel.holes import read_with_holes

_CALL = 0xE8
_JUMP = 0xE9
_SIZE = 5
_SHORT_JUMP, _NEAR = 0xEB, 130
_LEA = re.compile(rb"\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]")
"""With an address relative to that of the next instruction."""


def addresses(prog: Any, names: Iterable[str]) -> dict[int, str]:
    """Functions by address; those that this kernel lacks are left out."""
    found = {}
    for name in names:
        try:
            found[prog.symbol(name).address] = name
        except LookupError:
            continue
    return found


def calls(
    prog: Any, start: int, size: int, targets: Iterable[int], *, jumps: bool = False
) -> list[tuple[int, int]]:
    """Instructions that look like calls of one of the targets: where each is, and where it leads.

    A page that cannot be read is passed over.

    :param jumps: also those that look like jumps there, which end a function in a call
    """
    wanted = frozenset(targets)
    code = read_with_holes(prog, start, size)
    found = []
    for opcode in (_CALL, _JUMP) if jumps else (_CALL,):
        at = code.find(opcode)
        while 0 <= at <= len(code) - _SIZE:
            distance = int.from_bytes(code[at + 1 : at + _SIZE], "little", signed=True)
            target = start + at + _SIZE + distance
            if target in wanted:
                found.append((start + at, target))
            at = code.find(opcode, at + 1)
    return sorted(found + (_short_jumps(code, start, wanted) if jumps else []))


def _short_jumps(code: bytes, start: int, wanted: frozenset[int]) -> list[tuple[int, int]]:
    """What looks like a jump to a target that is near."""
    found = []
    for target in wanted:
        first = max(target - start - _NEAR, 0)
        for at in range(first, min(target - start + _NEAR, len(code) - 1)):
            distance = int.from_bytes(code[at + 1 : at + 2], "little", signed=True)
            if code[at] == _SHORT_JUMP and start + at + 2 + distance == target:
                found.append((start + at, target))
    return found


def call_sites(
    prog: Any, start: int, size: int, targets: Iterable[int], *, jumps: bool = False
) -> list[int]:
    """As :func:`calls`, the addresses alone."""
    return [site for site, _ in calls(prog, start, size, targets, jumps=jumps)]


def mentions(prog: Any, start: int, size: int, targets: Iterable[int]) -> list[tuple[int, int]]:
    """Where memory, code or data, seems to hold one of some addresses in the kernel, and which.

    A number in an instruction has only the lower half of such an address.
    """
    memory = read_with_holes(prog, start, size)
    found = []
    for target in targets:
        lower = target.to_bytes(8, "little")[:4]
        at = memory.find(lower)
        while at >= 0:
            found.append((start + at, target))
            at = memory.find(lower, at + 1)
    wanted = frozenset(targets)
    for match in _LEA.finditer(memory):
        at = match.end()
        distance = int.from_bytes(memory[at : at + 4], "little", signed=True)
        if start + at + 4 + distance in wanted:
            found.append((start + at, start + at + 4 + distance))
    return sorted(found)

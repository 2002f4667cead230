"""Where code calls a function directly, by its bytes: fast, but sure only with a decoder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_PAGE = 4096
_CALL = 0xE8
_JUMP = 0xE9
_SIZE = 5


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
    from drgn import FaultError

    wanted = frozenset(targets)
    code = bytearray()
    for offset in range(0, size, _PAGE):
        length = min(_PAGE, size - offset)
        try:
            code += prog.read(start + offset, length)
        except FaultError:
            code += bytes(length)
    found = []
    for opcode in (_CALL, _JUMP) if jumps else (_CALL,):
        at = code.find(opcode)
        while 0 <= at <= len(code) - _SIZE:
            distance = int.from_bytes(code[at + 1 : at + _SIZE], "little", signed=True)
            target = start + at + _SIZE + distance
            if target in wanted:
                found.append((start + at, target))
            at = code.find(opcode, at + 1)
    return sorted(found)


def call_sites(
    prog: Any, start: int, size: int, targets: Iterable[int], *, jumps: bool = False
) -> list[int]:
    """As :func:`calls`, the addresses alone."""
    return [site for site, _ in calls(prog, start, size, targets, jumps=jumps)]

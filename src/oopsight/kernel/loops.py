"""Loops of a function, from its machine code: where they lead, and what they go by. x86-64."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import (
    MASK,
    Expression,
    Instruction,
    Registers,
    assign,
    parsed,
    pointer_read_through,
)
from oopsight.kernel.omissions import comes_to

_KEEPS = ("mov", "lea", "add", "sub")
"""What leaves in a register a pointer to the same object as before, or to a part of it."""


class Link(NamedTuple):
    """How the objects that a loop goes along are linked."""

    register: str
    """Holds the object, where the loop was asked for."""
    node: int
    """In the object, what the link of another one points to."""
    field: int
    """From there, the link to the next one."""


def loop_at(function: Function, address: int) -> tuple[Instruction, ...]:
    """The shortest way by which the code at an address can come to the same address again.

    :param address: of an instruction, or a return address
    :return: its instructions in order, none where there is no such way
    """
    came_from: dict[int, int] = {}
    ways = [address] if address in function.code else []
    for current in ways:  # grows while it is walked: breadth first
        for there in function.ways(function.code[current]):
            if there == address:
                return _way(function, came_from, address, current)
            if there in function.code and there not in came_from:
                came_from[there] = current
                ways.append(there)
    return ()


def _way(
    function: Function, came_from: dict[int, int], first: int, last: int
) -> tuple[Instruction, ...]:
    way = [function.code[last]]
    while way[-1].address != first:
        way.append(function.code[came_from[way[-1].address]])
    return tuple(reversed(way))


def follows_pointers(loop: Iterable[Instruction]) -> bool:
    """Whether a loop goes from object to object: its next pointer is read through the last one.

    Such a loop ends where the data say so, not its own code. A pointer that is kept on the stack
    from one turn to the next is not followed.
    """
    # By register: what it was made of at the loop's beginning, and whether it was read through it.
    made_of: dict[str, frozenset[tuple[str, bool]]] = {}

    def of(register: str) -> frozenset[tuple[str, bool]]:
        return made_of.get(register, frozenset({(register, False)}))

    for instruction in loop:
        came: frozenset[tuple[str, bool]] = frozenset()
        base = pointer_read_through(instruction)
        if base is not None:
            came = frozenset((register, True) for register, _ in of(base))
        elif instruction.mnemonic in _KEEPS:
            came = frozenset[tuple[str, bool]]().union(*map(of, instruction.read))
        for register in instruction.written:
            made_of[register] = frozenset()
        if instruction.written:
            made_of[instruction.written[0]] = came
    return any((register, True) in origins for register, origins in made_of.items())


def link_of(loop: Iterable[Instruction]) -> Link | None:
    """The link that a loop follows; ``None`` where it follows none, or by more than one step."""
    registers: Registers = {}
    rows = tuple(loop)
    for row in rows:
        for register in (*row.read, *row.written):
            registers.setdefault(register, Expression(register, 0))
    for row in rows:
        if not row.mnemonic.startswith("j") and row.mnemonic != "call":
            assign(row, registers)
    for register, value in registers.items():
        inner = parsed(value.base[1:-1]) if value.base.startswith("[") else None
        if inner is not None and inner.base == register:
            node = -value.offset & MASK
            return Link(register, node, (inner.offset - node) & MASK)
    return None


def outer_link(function: Function, address: int) -> Link | None:
    """The link that a loop around a smaller one follows, in which the code at an address is."""
    for at, row in function.code.items():
        if pointer_read_through(row) is None:
            continue
        loop = loop_at(function, at)
        around = comes_to(function, at, address, ()) and comes_to(function, address, at, ())
        link = link_of(loop) if around and follows_pointers(loop) else None
        if link is not None:
            return link
    return None

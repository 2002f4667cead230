"""How instructions count in half a register, and what they copy as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from oopsight.evidence.modules.operand_keys import MASK, PLACE, displacement
from oopsight.evidence.modules.stored_numbers import NUMBER

if TYPE_CHECKING:
    from oopsight.evidence.modules.code_values import Value

HALVES = {
    **{f"e{name}": f"r{name}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp")},
    **{f"r{number}d": f"r{number}" for number in range(8, 16)},
}
"""The lower halves of registers, in which numbers are that are no pointers."""
PARTS = {
    **{f"{name}{end}": f"r{name}x" for name in "abcd" for end in "xl"},
    **{f"{name}{end}": f"r{name}" for name in ("si", "di", "bp") for end in ("", "l")},
    **{f"r{number}{end}": f"r{number}" for number in range(8, 16) for end in "wb"},
}
"""Of the registers, what 16 and 8 bits of them are called."""

IN_PLACE = ("add", "sub", "inc", "dec", "or", "and", "xor", "neg", "not", "shl", "shr", "xadd")
IN_PAIR = ("mul", "div", "idiv")
"""Their results are in ``rax`` and ``rdx``."""
COMPUTES = ("add", "sub", "or", "and", "xor", "neg", "not", "shl", "shr", "sar", "imul", "lea")


def extended(number: str, register: str) -> int:
    """What a register holds that is set to a number as the code has it.

    >>> hex(extended("-1", "eax")), hex(extended("-1", "rax"))
    ('0xffffffff', '0xffffffffffffffff')
    """
    whole = register.startswith("r") and not register.endswith("d")
    return int(number, 0) & (MASK if whole else 0xFFFFFFFF)


def counted(mnemonic: str, first: str, second: str) -> tuple[str, bool] | None:
    """The register from which an instruction counts in half a register, and whether up.

    >>> counted("sub", "eax", "4"), counted("lea", "edx", "[rax + 1]")
    (('eax', False), ('rax', True))
    >>> counted("sub", "rax", "4"), counted("mov", "eax", "4")
    (None, None)
    """
    place = PLACE.fullmatch(second) if mnemonic == "lea" else None
    based = place is not None and place["base"] not in (None, "rip", "rsp")
    counts = mnemonic in ("inc", "dec") or (mnemonic in ("add", "sub") and second != first)
    if first not in HALVES or not (counts or based):
        return None
    step = displacement(place) if place is not None else 1
    step = int(second, 0) if NUMBER.fullmatch(second) else step
    up = (step > 0) == (mnemonic not in ("dec", "sub"))
    return (place["base"] if place is not None else first), up


def copied_within(
    words: Iterable[tuple[int, Value, Value | None]], copies: Iterable[tuple[Value, Value, int]]
) -> Iterator[tuple[int, int, int]]:
    """Copies from one place to another in an object, or from variable to variable.

    :param words: that are stored: the key, the value, and the pointer to what has the field
    :param copies: where to, where from, and how many bytes
    :return: the keys of where to and where from, and how many bytes
    """
    from oopsight.evidence.modules.code_values import root_of, within

    for key, value, base in words:
        alike = base is not None and value.kind == "loaded" and root_of(value) == root_of(base)
        if alike and (value.of, value.number) != (base, key):
            yield key, value.number, 8
    for to, taken, size in copies:
        (root, key), (other, its) = within(to), within(taken)
        if root == other:
            yield key & MASK, its & MASK, size
        elif root.kind == other.kind == "number":
            yield (root.number + key) & MASK, (other.number + its) & MASK, size

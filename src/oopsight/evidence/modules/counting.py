"""How instructions count in half a register, and what they copy as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from oopsight.evidence.modules.operand_keys import MASK, PLACE, displacement
from oopsight.evidence.modules.stored_numbers import BYTES, NUMBER

if TYPE_CHECKING:
    from oopsight.evidence.modules.code_values import Value

_WORD = 8
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


class Copied(NamedTuple):
    """What is copied, by the keys of where to and where from."""

    to: int
    source: int
    size: int
    """In bytes."""
    brought: bool = False
    """Whether that is in another object, which the function was handed."""


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


def taken_over(
    key: int, value: Value, base: Value | None, place: str
) -> list[tuple[Value, Value, int]]:
    """What is stored of fewer than eight bytes, where it was read from a field.

    :return: as :attr:`Reading.copied` has it
    """
    from oopsight.evidence.modules.code_values import Value

    size = BYTES.get(place.partition(" ")[0])
    if size is None or base is None or value.kind != "loaded" or value.of is None:
        return []
    if (value.of, value.number) == (base, key):
        return []
    return [(Value("inner", key, base), Value("inner", value.number, value.of), size)]


def copied_within(
    words: Iterable[tuple[int, Value, Value | None]], copies: Iterable[tuple[Value, Value, int]]
) -> Iterator[Copied]:
    """Copies from one place to another in an object, and of more than a word from any other.

    :param words: that are stored: the key, the value, and the pointer to what has the field
    :param copies: where to, where from, and how many bytes
    """
    from oopsight.evidence.modules.code_values import root_of, within

    runs: dict[tuple[Value | None, Value, int], list[int]] = {}
    for key, value, base in words:
        if base is None or value.kind != "loaded" or (value.of, value.number) == (base, key):
            continue
        if root_of(value) == root_of(base):
            yield Copied(key, value.number, _WORD)
        else:
            runs.setdefault((value.of, base, key - value.number), []).append(key)
    for (source, base, far), keys in runs.items():
        # One word by itself is a pointer, or a number, that is taken over.
        if len(keys) > 1:
            brought = source is not None and _is_brought(root_of(source), root_of(base))
            size = max(keys) + _WORD - min(keys)
            yield Copied(min(keys), min(keys) - far & MASK, size, brought)
    for to, taken, size in copies:
        root, other = within(to)[0], within(taken)[0]
        if not {root.kind, other.kind} & {"stack", "unknown"}:
            yield Copied(place_of(to), place_of(taken), size, _is_brought(other, root))


def _is_brought(source: Value, to: Value) -> bool:
    return source.kind == "argument" and source != to


def place_of(value: Value) -> int:
    """The key of what a value is the address of."""
    from oopsight.evidence.modules.code_values import within

    root, distance = within(value)
    return (distance + (root.number if root.kind == "number" else 0)) & MASK

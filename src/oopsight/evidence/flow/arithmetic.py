"""What arithmetic instructions compute, and what went into one whose result is known.

Numbers are unsigned, of 4 or 8 bytes; a result of 4 bytes clears the register's upper half.
"""

from __future__ import annotations

from collections.abc import Callable

_BINARY: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda a, b, _: a + b,
    "sub": lambda a, b, _: a - b,
    "and": lambda a, b, _: a & b,
    "or": lambda a, b, _: a | b,
    "xor": lambda a, b, _: a ^ b,
    "imul": lambda a, b, _: a * b,
    "shl": lambda a, b, bits: a << (b & (bits - 1)),
    "shr": lambda a, b, bits: a >> (b & (bits - 1)),
    "sar": lambda a, b, bits: (a - (a >> (bits - 1) << bits)) >> (b & (bits - 1)),
    "rol": lambda a, b, bits: a << (b & (bits - 1)) | a >> (-b & (bits - 1)),
    "ror": lambda a, b, bits: a >> (b & (bits - 1)) | a << (-b & (bits - 1)),
}
_UNARY: dict[str, Callable[[int, int], int]] = {
    "neg": lambda a, _: -a,
    "not": lambda a, _: ~a,
    "bswap": lambda a, bits: int.from_bytes(a.to_bytes(bits // 8, "little"), "big"),
}
_OPPOSITE = {"add": "sub", "xor": "xor", "rol": "ror", "ror": "rol"}
BINARY = frozenset(_BINARY)
UNARY = frozenset(_UNARY)
SCALES = frozenset(["imul", "shl", "shr", "sar"])
"""Of numbers rather than of pointers."""


def compute(name: str, inputs: tuple[int, ...], size: int) -> int:
    """What an operation gives.

    :param size: of the operands, bytes

    >>> hex(compute("add", (0xFFFFFFFF, 1), 8)), compute("add", (0xFFFFFFFF, 1), 4)
    ('0x100000000', 0)
    """
    bits = 8 * size
    mask = (1 << bits) - 1
    numbers = [number & mask for number in inputs]
    if len(numbers) == 1:
        return _UNARY[name](numbers[0], bits) & mask
    return _BINARY[name](numbers[0], numbers[1], bits) & mask


def bound(name: str, number: int, size: int) -> int | None:
    """Below what the result lies of an operation with a number; ``None`` where it tells nothing.

    :param size: of the operands, bytes

    >>> bound("shr", 28, 4), bound("and", 0xF, 8), bound("add", 4, 8)
    (16, 16, None)
    """
    if name == "shr" and 0 < number < 8 * size:
        return 1 << (8 * size - number)
    return number + 1 if name == "and" and not number >> (8 * size - 1) else None


def invert(name: str, result: int, position: int, other: int | None, size: int) -> int | None:
    """What one input was; ``None`` where the result does not tell.

    :param position: of that input, 0 or 1
    :param other: the second one; ``None`` of an operation that has none

    >>> hex(invert("sub", 0xF8, 0, 8, 8)), hex(invert("sub", 0xF8, 1, 0x100, 8))
    ('0x100', '0x8')
    >>> invert("and", 0xF8, 0, 0xFF, 8) is None
    True
    """
    if other is None:
        return compute(name, (result,), size) if name in UNARY else None
    if name == "sub":
        inputs = (result, other) if position == 0 else (other, result)
        return compute("add" if position == 0 else "sub", inputs, size)
    opposite = _OPPOSITE.get(name)
    if opposite is None or (position and name in ("rol", "ror")):
        return None
    return compute(opposite, (result, other), size)

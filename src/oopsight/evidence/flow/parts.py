"""Which part of a computed value to follow: the pointer, or the number that led astray from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence.flow.arithmetic import SCALES, invert
from oopsight.evidence.flow.effects import Constant, Copy, Effect, Load, Operation
from oopsight.evidence.flow.moves import Context, How
from oopsight.kernel.addresses import in_kernel_half

if TYPE_CHECKING:
    from oopsight.evidence.flow.values import Values

_PAGE_SHIFT = 12
_FARTHEST = 1 << 32
"""Bytes from the beginning of an area to any place in it."""
_COPIES = ("memcpy", "memmove")
_WEIGHTS = (How.COMPUTED, How.INDEX, How.PAGE)


@dataclass(frozen=True)
class Part:
    """One of the things that a value was computed from."""

    what: Effect
    value: int | None
    how: How
    """What it is to the whole: ``COMPUTED`` if a pointer, ``INDEX`` if a number, ``PAGE`` if an
    address of which the page's number was taken."""
    certain: bool
    """Whether it was the only one that is not a constant."""


def part(
    values: Values, context: Context, at: int, what: Operation, result: int | None
) -> Part | None:
    """The part to which a value owes what it is; ``None`` where that is not clear.

    :param at: index of the instruction that computed it
    """
    # Arithmetic made the zero: what went in was none, but for a sum of zeros.
    if result is None or (not result and what.name != "add"):
        return None
    open_ = [number for number, one in enumerate(what.inputs) if not isinstance(one, Constant)]
    chosen: int | None
    if len(open_) == 1:
        chosen, how = open_[0], _how(what)
    else:
        chosen, how = _of_two(values, context, at, what, result)
    if chosen is None:
        return None
    inner = what.inputs[chosen]
    before = _before(values, context, at, what, chosen, result)
    certain = len(open_) == 1
    if not isinstance(inner, Operation):
        return Part(inner, before, how, certain)
    deeper = part(values, context, at, inner, before)
    if deeper is None:
        return None
    both = max(how, deeper.how, key=_WEIGHTS.index)
    return Part(deeper.what, deeper.value, both, certain and deeper.certain)


def _how(what: Operation) -> How:
    """What the only part of an operation that is no constant is to its result."""
    amount = what.inputs[-1]
    if what.name in ("shr", "sar") and amount == Constant(_PAGE_SHIFT):
        return How.PAGE
    return How.INDEX if what.name in SCALES else How.COMPUTED


def _before(
    values: Values, context: Context, at: int, what: Operation, chosen: int, result: int
) -> int | None:
    """What a part was."""
    known = values.evaluate(context, at, what.inputs[chosen], 1)
    if known is not None or what.size < 8:
        return known
    rest = what.inputs[:chosen] + what.inputs[chosen + 1 :]
    other = values.evaluate(context, at, rest[0], 1) if rest else None
    if rest and other is None:
        return None
    return invert(what.name, result, chosen, other, what.size)


def _of_two(
    values: Values, context: Context, at: int, what: Operation, result: int
) -> tuple[int | None, How]:
    """Which of two was wrong, if one of them is known to be right; and what it is to the sum."""
    if what.name != "add" or len(what.inputs) != 2:
        return None, How.COMPUTED
    if context.function.name.lstrip("_").startswith(_COPIES):
        # From the last byte on: to the place its length is added.
        return 0, How.COMPUTED
    known = [values.evaluate(context, at, one, 1) for one in what.inputs]
    good = [number is not None and _is_pointer(values, number) for number in known]
    if good[0] != good[1]:
        return int(good[0]), How.INDEX
    # Where neither leads anywhere, the one that counts elements is not the pointer.
    counts = [
        (isinstance(one, Operation) and one.name in SCALES) or _is_number(values, context, at, one)
        for one in what.inputs
    ]
    if not any(good) and counts[0] != counts[1] and known[int(counts[0])] is not None:
        return int(counts[0]), How.COMPUTED
    # A pointer that is NULL, and a number of bytes.
    zero = [
        isinstance(one, Load) and value == 0 for one, value in zip(what.inputs, known, strict=True)
    ]
    if zero[0] != zero[1] and _is_number(values, context, at, what.inputs[int(zero[0])]):
        return int(zero[1]), How.COMPUTED
    # The address of what is there no more, or what was written over it, and a distance from it.
    far = [number is not None and _is_far(number, result) for number in known]
    if not any(good) and far[0] != far[1]:
        return int(far[1]), How.COMPUTED
    return None, How.COMPUTED


def _is_number(values: Values, context: Context, at: int, one: Effect) -> bool:
    """Whether what was added is the result of a multiplication."""
    if not isinstance(one, Copy):
        return False
    found = values.definitions(context.function, one.source, at)
    only = found[0].effect if found is not None and len(found) == 1 else None
    return isinstance(only, Operation) and only.name in SCALES


def _is_far(number: int, total: int) -> bool:
    """Whether a number is no distance, and what was added to it is one."""
    return number >> 47 != 0 and 0 <= total - number < _FARTHEST


def _is_pointer(values: Values, number: int) -> bool:
    return in_kernel_half(number) and values.reader.read(number, 1) is not None

"""A call in progress, and the steps by which a value came to where it is."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from oopsight.cheap import dataclass, field
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import Effect, Load, Place


@dataclass(eq=False)
class Context:
    """One call in progress: a function, and where in it the machine is."""

    function: Function
    at: int
    """Index of the instruction that faulted or that called the next frame."""
    registers: dict[str, int]
    """What is known of the registers just before that instruction."""
    base: int | None
    """Value of the stack pointer after the function's return."""
    frame: int
    """Index in the backtrace."""
    caller: Callable[[], Context | None] = lambda: None
    beyond: Callable[[], Context | None] = lambda: None
    """The next frame's, even where several functions may have jumped on in between."""
    segments: dict[str, int] = field(default_factory=dict)
    history: dict[int, dict[str, int]] | None = None
    """Of :mod:`~oopsight.evidence.flow.history`, once it was asked for."""
    nested: int = 0
    """How many calls further in than any frame of the backtrace: it has returned."""
    values: dict[tuple[Place, int], int | None] = field(default_factory=dict)
    """What places held before instructions, as they were asked for."""


class How(str, Enum):
    """How a value came to be where it is."""

    COPIED = "copied"
    COMPUTED = "computed"
    """A constant was added, or bits of a pointer were changed."""
    INDEX = "index"
    """It was made of a number: one added to a pointer that is good, or scaled to count elements."""
    PAGE = "page"
    """It was made of an address: of the number of the page that this lies in."""
    RELOADED = "reloaded"
    """From a slot of the frame."""
    LOADED = "loaded"
    """From memory: the end of the way of this value."""
    PASSED = "passed"
    """By the caller, in the same register."""
    SET = "set"
    """To a number that stands in the code: the end."""
    RETURNED = "returned"
    """By a function that was called: the end."""
    SAVED = "saved"
    """The very value lies where a caller saved one of its arguments; the way from there to here,
    through a list of variable arguments, is not seen."""
    LOST = "lost"
    """Not followed further."""


@dataclass(frozen=True)
class Move:
    """One step back."""

    how: How
    context: Context = field(repr=False)
    index: int
    """Of the instruction; for a passed argument the call."""
    place: Place
    """Where the value went."""
    source: Place | None
    """Where it came from, if a place."""
    value: int | None
    """What ``place`` held after it."""
    load: Load | None = None
    address: int | None = None
    """Of the memory loaded, where it can be computed."""
    found: int | None = None
    """What that memory holds in the dump."""
    why: str = ""
    certain: bool = True
    """Whether this was the only way; else the only one that agrees with the dump."""


@dataclass(frozen=True)
class Definition:
    """What may have given a place its value."""

    index: int
    effect: Effect | None
    """``None``: the place had its value when the function was entered."""

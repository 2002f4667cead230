"""The headlines by which a crash report is known: one file per family, found by its place.

A family's file holds ``FORMATS``, a tuple of :class:`Format`. To read a new message, add a format
to the family it belongs to, or a file. Patterns are compiled when a line first needs them.
"""

from __future__ import annotations

import enum
import functools
import importlib
import pkgutil
import re
from collections.abc import Callable

from oopsight.cheap import dataclass
from oopsight.kinds import Kind


class Blame(enum.Enum):
    """Where in the report the function to blame is looked for."""

    NOBODY = "the headline names all there is"
    HEADLINE = "the headline names it"
    INNERMOST = "the innermost frame that does not serve any caller"
    OUTERMOST = "the entry of the subsystem at work: what a dispatcher or a system call ran"
    LOCK = "where the lock was being taken, else the innermost frame"
    IRQ_SAFE = "where the lock came to be one of interrupts, else as for a lock"


@dataclass(frozen=True)
class Format:
    """One headline.

    ``pattern`` is searched in a clean line; its groups fill the ``title`` (``{access}``), where
    ``{function}`` stands for the one to blame; ``lost`` is the title where none can be told.
    ``trigger`` is a word that every such line holds: it lets a boot log of any size pass by without
    a pattern being tried. ``rank`` orders formats that fit the same line: the lowest wins; from 80
    on a format tells how another report ends, where one is open. ``leads_to`` are words of
    headlines that belong to the same report when they follow before any stack. ``refine`` looks at
    the lines from the head on and may know the kind and title better.
    """

    kind: Kind
    trigger: str
    pattern: str
    title: str
    why: str
    blame: Blame = Blame.INNERMOST
    rank: int = 50
    lost: str | None = None
    leads_to: tuple[str, ...] = ()
    stacked: bool = False
    """Without a stack, or a program counter, the headline alone does not tell whom to blame."""
    drop: bool = False
    """Without a stack it is no report at all: firmware and drivers use the same word."""
    refine: Callable[[list[str], re.Match[str]], tuple[Kind, str] | None] | None = None


compiled = functools.cache(re.compile)


def without_numbers(text: str) -> str:
    """A message as a title: what differs from one occurrence to the next is left out.

    >>> without_numbers("killed init by 9 at 0xffff888012345678 in part.12 of udp4_lib")
    'killed init by NUM at ADDR in part.NUM of udp4_lib'
    """
    text = compiled(r"\b(?:0x[0-9a-f]{1,16}|[0-9a-f]{16})\b").sub("ADDR", text)
    return compiled(r"(?<![\w])\d{1,20}(?!\w)").sub("NUM", text)


@functools.cache
def formats() -> tuple[Format, ...]:
    """Every format of every family, in the order in which they are tried."""
    found: list[Format] = []
    for module in pkgutil.iter_modules(__path__):
        found += importlib.import_module(f"{__name__}.{module.name}").FORMATS
    return tuple(sorted(found, key=lambda format_: format_.rank))


@functools.cache
def triggers() -> tuple[str, ...]:
    """The fewest words of which any headline holds at least one."""
    words = {format_.trigger for format_ in formats()}
    return tuple(sorted(w for w in words if not any(other in w for other in words if other != w)))


@functools.cache
def _by_trigger() -> tuple[tuple[str, tuple[tuple[int, Format], ...]], ...]:
    groups: dict[str, list[tuple[int, Format]]] = {}
    for order, format_ in enumerate(formats()):
        groups.setdefault(format_.trigger, []).append((order, format_))
    return tuple((trigger, tuple(group)) for trigger, group in groups.items())


def headline(text: str) -> tuple[Format, re.Match[str]] | None:
    """The format that opens a report with this line, the lowest in rank."""
    candidates = [one for trigger, group in _by_trigger() if trigger in text for one in group]
    for _, format_ in sorted(candidates, key=lambda one: one[0]):
        match = compiled(format_.pattern).search(text)
        if match:
            return format_, match
    return None

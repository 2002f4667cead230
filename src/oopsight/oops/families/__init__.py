"""The headlines by which a crash report is known: one file per family, found by its place.

A family's file holds ``FORMATS``, a tuple of :class:`Format`. To read a new message, add a format
to the family it belongs to, or a file.
"""

from __future__ import annotations

import enum
import functools
import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass

from oopsight.kinds import Kind


class Blame(enum.Enum):
    """Where in the report the function to blame is looked for."""

    NOBODY = "the headline names all there is"
    HEADLINE = "the headline names it"
    INNERMOST = "the innermost frame that is not plumbing"
    OUTERMOST = "the outermost frame that is not dispatch: the operation at work"
    LOCK = "where the lock was being taken, else the innermost frame"


@dataclass(frozen=True)
class Format:
    """One headline.

    ``pattern`` is searched in a clean line; its groups fill the ``title`` (``{access}``), where
    ``{function}`` stands for the one to blame. ``trigger`` is a word that every such line holds: it
    lets a boot log of any size pass by without a pattern being tried. ``rank`` orders formats that
    fit the same line: the lowest wins. ``leads_to`` are words of headlines that belong to the same
    report when they follow before any stack. ``refine`` looks at the lines from the head on.
    """

    kind: Kind
    trigger: str
    pattern: re.Pattern[str]
    title: str
    why: str
    blame: Blame = Blame.INNERMOST
    rank: int = 50
    leads_to: tuple[str, ...] = ()
    refine: Callable[[list[str]], tuple[Kind, str] | None] | None = None


@functools.lru_cache(maxsize=1)
def formats() -> tuple[Format, ...]:
    """Every format of every family, in the order in which they are tried."""
    found: list[Format] = []
    for module in pkgutil.iter_modules(__path__):
        found += importlib.import_module(f"{__name__}.{module.name}").FORMATS
    return tuple(sorted(found, key=lambda format_: format_.rank))


@functools.lru_cache(maxsize=1)
def triggers() -> tuple[str, ...]:
    """The fewest words of which any headline holds at least one."""
    words = {format_.trigger for format_ in formats()}
    return tuple(sorted(w for w in words if not any(other in w for other in words if other != w)))

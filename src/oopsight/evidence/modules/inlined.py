"""Which functions that compilers have inlined make a function's calls, after its source lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.kernel.call_sites import addresses, calls
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.text import printable

_LARGEST_FUNCTION = 16384
_MOST_SITES = 32
_HEADERS = "/include/"


def inlined_callers(
    session: Session, functions: Iterable[ModuleFunction], called: Iterable[str]
) -> tuple[tuple[str, str], ...]:
    """The inlined functions of a module's own source in which calls stand, with the outer one.

    :param called: names of the functions that are called
    :return: outer and inlined function, in the order of the calls; nothing without source lines
    """
    targets = addresses(session.prog, called)
    found = {
        (base_name(function.name), inner): None
        for function in functions
        for inner in _inner(session, function, targets)
    }
    return tuple(found)


def _inner(session: Session, function: ModuleFunction, targets: dict[int, str]) -> Iterator[str]:
    try:
        size = min(session.prog.symbol(function.start).size, _LARGEST_FUNCTION)
    except LookupError:
        return
    sites = calls(session.prog, function.start, size, targets, jumps=True)
    for site, _ in sites[:_MOST_SITES]:
        name = _inlined_at(session, site)
        if name is not None:
            yield name


def _inlined_at(session: Session, address: int) -> str | None:
    """The function that the outer one calls in its source, of those that lead to a call."""
    try:
        places = list(session.prog.source_location(address))
    except LookupError:
        return None
    own = [place for place in places[:-1] if _HEADERS not in f"/{place.filename}"]
    name = own[-1].name() if own else None
    return base_name(printable(name, 200)) if name else None

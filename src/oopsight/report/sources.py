"""Where the functions that are named stand in the source, for those that no frame tells it of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oopsight.errors import SymbolError
from oopsight.evidence.crash.code import in_tree
from oopsight.evidence.modules.module_files import load_debug_files
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.diagnosis import Culprit
    from oopsight.evidence.modules.modules import Module, Modules
    from oopsight.session import Session

_SUFFIXES = ("", ".isra.0", ".constprop.0")
"""What GCC puts behind the name of a function whose parameters it has changed."""


def with_source(
    culprits: tuple[Culprit, ...], session: Session | None, modules: Modules | None
) -> tuple[Culprit, ...]:
    """Give each culprit without one the ``file:line`` at which its function begins.

    :returns: unchanged where debug information is not at hand or more functions have the name
    """
    if session is None:
        return culprits
    return tuple(_placed(one, session, modules) for one in culprits)


def _placed(one: Culprit, session: Session, modules: Modules | None) -> Culprit:
    if one.source is not None or one.function is None or modules is None:
        return one
    try:
        starts = {
            symbol.address
            for suffix in _SUFFIXES
            for symbol in session.prog.symbols(one.function + suffix)
            if _name(modules.owner(symbol.address)) == one.module
        }
        if len(starts) != 1:
            return one
        load_debug_files(session, starts)
        begins = session.prog.source_location(starts.pop())[-1]
    except (LookupError, ValueError, SymbolError):
        return one
    return replace(one, source=f"{printable(in_tree(begins.filename))}:{begins.line}")


def _name(module: Module | None) -> str | None:
    return module.name if module else None

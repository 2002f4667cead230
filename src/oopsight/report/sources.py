"""Where the functions that are named stand in the source, for those that no frame tells it of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.errors import SymbolError
from oopsight.evidence import Missing
from oopsight.evidence.crash.code import in_tree
from oopsight.evidence.modules.module_files import load_debug_files
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.evidence.modules.modules import Module, Modules
    from oopsight.session import Session

_SUFFIXES = ("", ".isra.0", ".constprop.0")
"""What GCC puts behind the name of a function whose parameters it has changed."""


def add_sources(verdict: dict[str, Any], session: Session, modules: Modules | Missing) -> None:
    """Give each culprit without one the ``file:line`` at which its function begins.

    :param verdict: of a report; unchanged where debug information is not at hand or more functions
        have the name
    """
    if isinstance(modules, Missing):
        return
    for culprit in verdict["culprits"]:
        if culprit["source"] is None and culprit["function"] is not None:
            culprit["source"] = _begin(culprit, session, modules)
    if verdict["culprit"] is not None:
        verdict["culprit"]["source"] = verdict["culprits"][0]["source"]


def _begin(culprit: dict[str, Any], session: Session, modules: Modules) -> str | None:
    from drgn import FaultError

    try:
        starts = {
            symbol.address
            for suffix in _SUFFIXES
            for symbol in session.prog.symbols(culprit["function"] + suffix)
            if _name(modules.owner(symbol.address)) == culprit["module"]
        }
        if len(starts) != 1:
            return None
        load_debug_files(session, starts)
        begins = session.prog.source_location(starts.pop())[-1]
    except (FaultError, LookupError, ValueError, SymbolError):
        return None
    return f"{printable(in_tree(begins.filename))}:{begins.line}"


def _name(module: Module | None) -> str | None:
    return module.name if module else None

"""Which functions of a module give pages back, and which of them do so for others of it.

What a helper frees it was handed: whether that was fit to be freed is its callers' doing. Who frees
what a field or table holds, and changes neither that nor any number beside it, leaves it to be
freed again.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.handing import Uses, calls
from oopsight.evidence.modules.module_roles import inner_functions, named
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session

_GIVES_BACK = re.compile(
    r"_*(?:free_pages(?:_exact)?|free_frozen_pages|folio_put|put_page|release_pages|page_frag_free)"
)


@dataclass(frozen=True)
class PageFreers:
    """The module that freed a page, or the only one that does so."""

    module: str
    functions: tuple[str, ...]
    """Those first that leave what they free where it was."""
    helpers: tuple[str, ...]
    """Of these, those that free only what they are handed, for others of the module."""
    shared: tuple[str, ...]
    """Of these again, those that several others call."""


def collect(
    session: Session, modules: Modules, backtrace: Backtrace | Missing
) -> PageFreers | Missing:
    """Read the code of the module on the stack, or where none is there of all from outside."""
    reader = SessionReader(session)
    frames = backtrace.blamable if isinstance(backtrace, Backtrace) else ()
    on_stack = {frame.module for frame in frames if frame.module}
    found = []
    for module in modules.loaded:
        if not module.taints or (on_stack and module.name not in on_stack):
            continue
        code = inner_functions(session, module, reader)
        freeing = named(one for one in code if any(map(_GIVES_BACK.fullmatch, one.outside)))
        if freeing:
            found.append((module.name, code, freeing))
    if len(found) != 1:
        return Missing(Why.NOT_APPLICABLE, "no one module is known to free pages")
    name, code, freeing = found[0]
    uses = uses_of(reader, code)
    freeing = tuple(sorted(freeing, key=lambda one: one not in uses or not _leaves(uses[one])))
    return PageFreers(name, freeing, *serving(freeing, uses))


def _leaves(use: FieldUse) -> bool:
    """Whether all that has what a function frees stays, and stays as it was."""
    roots = {value for _, value in (*use.freed, *use.put)}
    held = {root for root in roots if root.kind == "loaded"}
    return bool(held) and not use.sets and not use.changes and not {one.of for one in held} & roots


def serving(freeing: tuple[str, ...], uses: Uses) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of functions that free, those that do so for others; and those that do so for several."""
    callers = {
        name: [other for other, use in uses.items() if other != name and calls(use, name)]
        for name in freeing
        if name in uses and _only_what_it_is_handed(uses[name])
    }
    helpers = tuple(name for name, by in callers.items() if by)
    return helpers, tuple(name for name in helpers if len(callers[name]) > 1)


def _only_what_it_is_handed(use: FieldUse) -> bool:
    roots = [value for _, value in (*use.freed, *use.put)]
    return bool(roots) and all(value.kind == "argument" for value in roots)

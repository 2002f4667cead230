"""Who changes lists and takes no lock, where others of the module do.

Two that change a list at once break it, and who finds it broken may be the one that had the lock.
The code tells who calls the list functions, and who takes a lock: itself, or each that calls it.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.corruption.two_lists import list_head, whole_variable
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.modules.known_calls import LOCKS
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import (
    adds_to_lists,
    inner_functions,
    named,
    takes_off_lists,
)
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_DEEPEST = 4


@dataclass(frozen=True)
class Unlocked:
    """The module that changes the list."""

    module: str
    functions: tuple[str, ...]
    """Those that change lists, with no lock of their own nor of their callers."""
    locked: tuple[str, ...]
    """Those that change lists under a lock."""


def collect(
    session: Session, report: ListReport, backtrace: Backtrace, modules: Modules
) -> Unlocked | Missing:
    """Look at the functions of the module that worked on the list, or whose entries are on it."""
    none = Missing(Why.NOT_APPLICABLE, "no list is changed by some with a lock, by others without")
    if report.poison is not None or report.double_add:
        return none
    name = next((frame.module for frame in backtrace.blamable if frame.module), None)
    module = next((one for one in modules.loaded if one.name == name and one.taints), None)
    if module is None:
        return none
    head = _head(session, report, modules)
    found = unlocked(session, module, head)
    return found if _few(found) else none


def _few(found: Unlocked) -> bool:
    """Whether most take a lock: where few do, something else keeps the others apart."""
    return 0 < len(found.functions) < len(found.locked)


def unlocked_among(names: set[str], code: list[ModuleFunction]) -> tuple[str, ...]:
    """Of functions that change lists those that take no lock, if most do."""
    found = _by_lock("", [one for one in code if base_name(one.name) in names], code)
    return found.functions if _few(found) else ()


def _head(session: Session, report: ListReport, modules: Modules) -> int | None:
    """The list's head, if that is a module's variable."""
    for entry in report.entries:
        at = int(entry.owner.address)
        if entry.owner.kind == "module":
            return at
        found = list_head(session, modules, at, 0, at) if entry.owner.is_memory else None
        if found is not None:
            return found[1]
    return None


def unlocked(session: Session, module: Module, head: int | None) -> Unlocked:
    """The functions of a module that change lists, by whether a lock is taken around that.

    :param head: of the list in question: who has it from a caller does not refer to it
    """
    code = inner_functions(session, module)
    changing = [one for one in code if adds_to_lists(one) or takes_off_lists(one)]
    begin, end = whole_variable(session, head) if head is not None else (0, 0)
    found = _by_lock(module.name, changing, code)
    there = [f for f in changing if any(begin <= at < end for at in f.refers)]
    near = tuple(name for name in found.functions if name in named(there))
    return Unlocked(module.name, near or found.functions, found.locked)


def _by_lock(module: str, changing: list[ModuleFunction], code: list[ModuleFunction]) -> Unlocked:
    known: dict[tuple[str, int], bool] = {}
    locked = [one for one in changing if _under_lock(one, code, _DEEPEST, known)]
    return Unlocked(module, named(one for one in changing if one not in locked), named(locked))


def _under_lock(
    function: ModuleFunction,
    code: list[ModuleFunction],
    deep: int,
    known: dict[tuple[str, int], bool],
) -> bool:
    """Whether a function takes a lock, or all of its module that call it do.

    :param known: what was found for functions before, by their names and how deep
    """
    key = function.name, deep
    if key not in known:
        known[key] = _takes_lock(function, code, deep, known)
    return known[key]


def _takes_lock(
    function: ModuleFunction,
    code: list[ModuleFunction],
    deep: int,
    known: dict[tuple[str, int], bool],
) -> bool:
    if any(LOCKS.match(name) for name in function.outside):
        return True
    callers = [one for one in code if function.name in one.calls and one is not function]
    if not callers or not deep:
        return False
    return all(_under_lock(one, code, deep - 1, known) for one in callers)

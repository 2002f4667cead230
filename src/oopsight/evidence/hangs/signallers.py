"""Whose it is to end a wait for what one module gives another to wait for.

A fence names its driver by its operations; a completion lies in some module's data or object, or
is one that only another module's code completes. Not a fact by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.evidence.hangs.waiting import Wait, fence
from oopsight.evidence.hangs.waiting.scan import value
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.use_after_free.anothers import acquainted
from oopsight.kernel.code_ahead import GIVES
from oopsight.plumbing import base_name
from oopsight.session import Session

KINDS = ("completion", "semaphore", fence.KIND)
_MOST_MODULES = 8


def signallers(session: Session, modules: Modules, wait: Wait) -> tuple[Module, ...]:
    """The modules that are to end a wait, by whose it is, and whose code can.

    That of whoever waits, where its code can end such waits and nothing tells of another.
    """
    lock = wait.lock
    if lock is None or lock.kind not in KINDS:
        return ()
    told = _told(session, modules, wait)
    own = _own(modules, wait)
    if told is not None:
        return (told,) if "O" in told.taints else ()
    if own is not None and _can_end(session, own, lock.kind):
        return (own,)
    others = [m for m in modules.loaded if "O" in m.taints and m is not own][:_MOST_MODULES]
    able = (m for m in others if _can_end(session, m, lock.kind))
    # Who does not know the other's module has given it nothing to wait for.
    return tuple(m for m in able if own is not None and acquainted(session, modules, own, m))


def another(session: Session, modules: Modules, wait: Wait) -> Module | None:
    """The one module that is to end a wait in which another's function is, if there is but one."""
    own = _own(modules, wait)
    told = _told(session, modules, wait)
    able = signallers(session, modules, wait) if told is None else (told,)
    return able[0] if len(able) == 1 and able[0] is not own else None


def _own(modules: Modules, wait: Wait) -> Module | None:
    return next((m for m in modules.loaded if wait.call and m.name == wait.call.module), None)


def _told(session: Session, modules: Modules, wait: Wait) -> Module | None:
    """Whose data or operations it is; ``None`` where that does not tell."""
    lock = wait.lock
    if lock is None or lock.address is None:
        return None
    if lock.kind == fence.KIND and lock.because:
        return modules.owner(value(lock.because[0]))
    own = _own(modules, wait)
    owner = owner_of(session, modules, lock.address)
    if owner.module is not None:
        return modules.owner(lock.address)
    if own is not None and _can_end(session, own, lock.kind):
        return None  # what its object points to may be another's
    names = {one.module for one in owner.slab.refers} if owner.slab is not None else set()
    # An object of two is told by neither.
    return next((m for m in modules.loaded if {m.name} == names), None)


def _can_end(session: Session, module: Module, kind: str) -> bool:
    return any(ending(inner_functions(session, module), kind))


def ending(code: list[ModuleFunction], kind: str) -> Iterator[str]:
    """Functions that themselves end waits of a kind, of whatever object."""
    for one in code:
        if any(GIVES.get(name) == kind for name in one.outside):
            yield base_name(one.name)

"""Who of a module should have set up a list's head, or what has one in it, and did not.

Of several functions that make such objects those that neither set it up nor have it set up. Where
all do, or the one that did has gone with the module's initialisation: who sets up such at all, and
so may have left one out.
"""

from __future__ import annotations

from typing import NamedTuple

from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates, inner_functions, named
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.omitting import makers
from oopsight.plumbing import base_name
from oopsight.session import Session

_LARGEST_OBJECT = 1 << 16
_SET_UP_BY = {
    "wait_queue_head": ("init_waitqueue_head",),
    "swait_queue_head": ("init_swait_queue_head",),
    "completion": ("init_swait_queue_head",),
    "mutex": ("mutex_init", "mutex_init_generic", "mutex_init_lockep"),
    "rw_semaphore": ("init_rwsem",),
}


class Setters(NamedTuple):
    """Functions, the most suspect first."""

    functions: tuple[str, ...]
    by_init: bool
    """Whether none of the functions that are left does: only the initialisation can."""


def head_setters(
    session: Session,
    modules: Modules,
    module: Module,
    owner: Owner | None,
    kind: str | None,
) -> Setters:
    """Who should have set up a head, and whether that is none of the functions that are left.

    :param owner: of the head's address, if that is known
    :param kind: the name of the kernel's structure that it is in, ``wait_queue_head``
    """
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    uses = uses_of(reader, inner)
    setting = _setting(session, uses, owner, kind)
    if owner is not None and owner.slab is None:
        mine = owner.kind == "module" and owner.module == module.name
        return Setters(setting if mine else (), mine and not setting)
    slab = owner.slab if owner is not None else None
    if slab is None:
        making = list(named(one for one in inner if allocates(one)))
    else:
        made, _ = allocating(session, modules, module, slab.cache_address, slab.size)
        sets = [uses[name] for name in setting]
        making = makers([one.function for one in made], uses, lambda use: use in sets)
    lacking = [name for name in making if not _reach(name, inner) & set(setting)]
    found = (*lacking, *setting) if lacking else (*setting, *making)
    return Setters(tuple(dict.fromkeys(found)), by_init=False)


def _setting(
    session: Session, uses: dict[str, FieldUse], owner: Owner | None, kind: str | None
) -> tuple[str, ...]:
    """Functions that set up such heads.

    Of lists those in the variable, or at that distance in an object, or failing these at any.
    """
    by = _SET_UP_BY.get(kind or "")
    if by is not None:
        return tuple(n for n, use in uses.items() if any(one in by for one, _ in use.inits))
    lists = {
        name: {one.key for one in use.stores if one.what == "itself"} for name, use in uses.items()
    }
    if owner is not None and owner.slab is None:
        try:
            symbol = session.prog.symbol(int(owner.address))
        except LookupError:
            return ()
        variable = range(symbol.address, symbol.address + symbol.size)
        return tuple(name for name, keys in lists.items() if any(k in variable for k in keys))
    offset = owner.offset if owner is not None else None
    there = tuple(name for name, keys in lists.items() if offset in keys)
    inside = range(_LARGEST_OBJECT)
    return there or tuple(n for n, keys in lists.items() if any(key in inside for key in keys))


def _reach(name: str, code: list[ModuleFunction]) -> set[str]:
    """A function and those that it calls."""
    calls = {base_name(c) for one in code if base_name(one.name) == name for c in one.calls}
    return {name, *calls}

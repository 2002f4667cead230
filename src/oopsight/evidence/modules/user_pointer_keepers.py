"""Which functions of modules store a process's pointer where another then follows it.

Whoever follows it, in a work item say, does not see that it is a process's. Looked for is who
stores in the field what its caller may have brought, and copies from user space itself or is called
by one that does; or copies from there a whole structure with the field in it. A field from which
any function copies as from user space is known for a process's: then whoever follows it directly
should have known.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_FROM_USER = re.compile(r"_*(?:raw_)?(?:copy_from_(?:user|iter)|get_user|v?memdup_user)")
_KEPT = ("slab", "module", "per-cpu", "page", "vmalloc")
_COPIES = "memdup_user"
"""Since Linux 6.11 what is copied from user space as a whole has caches of its own."""
_SIZE = 2
"""Which argument of copy_from_user() tells how much."""
_MOST_CALLS = 3
_MOST_KEEPERS = 3
"""More than so many that store something at an offset have to do with other objects, too."""


@dataclass(frozen=True)
class UserPointerKeepers:
    """Functions of one module, the most suspect first."""

    module: str
    functions: tuple[str, ...]


def collect(
    session: Session, flow: DataFlow, backtrace: Backtrace | Missing, modules: Modules
) -> UserPointerKeepers | Missing:
    """Read the code of the module that met the pointer, then of the others."""
    way = flow.first
    kept = way.held_in is not None and way.held_in.kind in _KEPT
    user = flow.bad is not None and flow.bad.kind in ("user", "other-user")
    if flow.subject != "operand" or way.ended != "loaded" or not (kept and user):
        return Missing(Why.NOT_APPLICABLE, "no pointer of a process was kept in memory")
    slab = way.held_in.slab if way.held_in is not None else None
    if slab is not None and slab.cache.startswith(_COPIES):
        # All of it is the process's own: whoever reads it knows.
        return UserPointerKeepers(way.module or "", ())
    near = [way.module]
    if isinstance(backtrace, Backtrace):
        near += [frame.module for frame in backtrace.crash_path]
    foreign = [one for one in modules.loaded if one.taints]
    own = [one for one in foreign if one.name in near]
    for module in sorted(foreign, key=lambda one: one not in own):
        found = _keepers(session, module, way, known=module in own)
        if found is not None:
            return UserPointerKeepers(module.name, found)
    return Missing(Why.NOT_APPLICABLE, "no function of a module is seen to have stored it")


def _keepers(session: Session, module: Module, way: Way, *, known: bool) -> tuple[str, ...] | None:
    """Who of a module stores what may be a process's; ``None`` if the next is to be asked.

    :param known: whether the module has to do with the object, by the backtrace
    """
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    uses = uses_of(reader, inner)
    keys = FieldKeys(way, uses)
    key_in = {name: keys.of(use) for name, use in uses.items()}
    if known and any(key_in[name] in use.of_users for name, use in uses.items()):
        return ()
    given = [name for name, use in uses.items() if _stores_given(use, key_in[name])]
    copying = _copying(inner)
    sure = [name for name in given if name in copying]
    sure += [name for name, use in uses.items() if _copies_over(use, keys.candidates(use))]
    found = sorted(sure or (given if known else []), key=lambda n: _copied(uses[n], key_in[n]))
    return tuple(found) if 0 < len(found) <= _MOST_KEEPERS else None


def _stores_given(use: FieldUse, key: int | None) -> bool:
    return any(one.given and one.key == key for one in use.stores)


def _copies_over(use: FieldUse, keys: Collection[int]) -> bool:
    """Whether a function copies from user space what has the field in it, as a whole."""
    for call in use.handed:
        if call.own or not _FROM_USER.match(call.name) or len(call.arguments) < _SIZE + 1:
            continue
        (root, begin), size = within(call.arguments[0]), call.arguments[_SIZE]
        if root.kind != "stack" and size.kind == "number":
            begin += root.number if root.kind == "number" else 0
            if any(key in range(begin, begin + size.number - 7) for key in keys):
                return True
    return False


def _copied(use: FieldUse, key: int | None) -> bool:
    """Whether a function puts there as well what a call returned: a copy, or memory for one."""
    return any(one.called is not None and one.key == key for one in use.stores)


def _copying(code: list[ModuleFunction]) -> set[str]:
    """Functions that copy from user space, and those that they call, a few calls deep."""
    found = {base_name(one.name) for one in code if any(map(_FROM_USER.match, one.outside))}
    for _ in range(_MOST_CALLS):
        found |= {
            base_name(called)
            for one in code
            if base_name(one.name) in found
            for called in one.calls & one.own
        }
    return found

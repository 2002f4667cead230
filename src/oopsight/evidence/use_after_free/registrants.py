"""Who put an entry into a chain of notifiers that has been freed and filled since.

The entry itself says nothing any more of whose it was. But only a module whose code calls a
function that registers notifiers has put one there.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import freers, inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.evidence.use_after_free.callback_registries import (
    NOTIFIERS,
    REGISTERS_NOTIFIER,
    registry_of,
)
from oopsight.evidence.use_after_free.frees_after import frees_after
from oopsight.plumbing import base_name
from oopsight.session import Session

_TAKES_BACK = re.compile(r"(?:\w+_)?unreg(?:ister)?_\w+|\w+_unregister\w*")


@dataclass(frozen=True)
class Registrant:
    """A module from outside the kernel that registers notifiers."""

    module: ModulePointer
    functions: tuple[str, ...]
    """Those that do; first those that free memory, too."""
    by: str
    """What they call for it."""


@dataclass(frozen=True)
class Registrants:
    """Where an entry of a chain of notifiers was freed."""

    modules: tuple[Registrant, ...]


def registers(name: str) -> bool:
    """Whether a function of the kernel puts a notifier into a chain, by its name.

    >>> [registers(name) for name in ("power_supply_reg_notifier", "register_netdevice_notifier",
    ...  "atomic_notifier_chain_register", "register_chrdev", "unregister_netdevice_notifier")]
    [True, True, True, False, False]
    """
    return bool(REGISTERS_NOTIFIER.fullmatch(name)) and not _TAKES_BACK.fullmatch(name)


def collect(session: Session, flow: DataFlow, modules: Modules) -> Registrants | Missing:
    """Look for calls that register, in the modules that are not the kernel's own."""
    kind = flow.bad.kind if flow.bad is not None else ""
    named = any((way.name or "").startswith(NOTIFIERS.entry) for way in flow.ways)
    by_caller = flow.first.name is None and registry_of(flow.first) is NOTIFIERS
    if kind not in ("poison", "non-canonical") or not (named or by_caller):
        return Missing(Why.NOT_APPLICABLE, "no freed entry of a chain of notifiers was met")
    found = []
    calls: Calls | None = None
    for module in modules.loaded:
        if not module.taints:
            continue
        code = inner_functions(session, module)
        able = [one for one in code if any(registers(name) for name in one.outside)]
        if kind != "poison":
            # What is another's by now was freed: by who registered it, and then gave up?
            calls = calls or Calls(SessionReader(session), (), {})
            able = [one for one in able if _frees_what_it_registered(calls, one)]
        if able:
            found.append(Registrant(module.pointer, _ordered(able), _by(able[0])))
    if not found:
        return Missing(Why.NOT_APPLICABLE, "no module that is loaded registers notifiers")
    return Registrants(tuple(found))


def _frees_what_it_registered(calls: Calls, one: ModuleFunction) -> bool:
    """Whether it frees after a registration that succeeded, and takes nothing back before."""
    if any(_TAKES_BACK.fullmatch(name) for name in one.outside):
        return False
    return bool(frees_after(calls, one, registers))


def _ordered(able: list[ModuleFunction]) -> tuple[str, ...]:
    free = freers(able)
    names = dict.fromkeys(base_name(one.name) for one in able)
    return tuple(sorted(names, key=lambda name: name not in free))


def _by(function: ModuleFunction) -> str:
    return min(name for name in function.outside if registers(name))

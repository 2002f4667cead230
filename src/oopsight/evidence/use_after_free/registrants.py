"""Who put an entry into a chain of notifiers that has been freed and filled since.

The entry itself says nothing any more of whose it was. But only a module whose code calls a
function that registers notifiers has put one there.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import freers, inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.plumbing import base_name
from oopsight.session import Session

_ENTRY = "struct notifier_block."
_REGISTERS = re.compile(
    r"(?:\w+_)?reg(?:ister)?_(?:\w+_)?(?:notifier|nb)\w*|\w*notifier\w*_register\w*"
)
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
    return bool(_REGISTERS.fullmatch(name)) and not _TAKES_BACK.fullmatch(name)


def collect(session: Session, flow: DataFlow, modules: Modules) -> Registrants | Missing:
    """Look for calls that register, in the modules that are not the kernel's own."""
    freed = flow.bad is not None and flow.bad.kind == "poison"
    if not freed or not any((way.name or "").startswith(_ENTRY) for way in flow.ways):
        return Missing(Why.NOT_APPLICABLE, "no freed entry of a chain of notifiers was met")
    found = []
    for module in modules.loaded:
        if not module.taints:
            continue
        code = inner_functions(session, module)
        able = [one for one in code if any(registers(name) for name in one.calls)]
        if able:
            found.append(Registrant(module.pointer, _ordered(able), _by(able[0])))
    if not found:
        return Missing(Why.NOT_APPLICABLE, "no module that is loaded registers notifiers")
    return Registrants(tuple(found))


def _ordered(able: list[ModuleFunction]) -> tuple[str, ...]:
    free = freers(able)
    names = dict.fromkeys(base_name(one.name) for one in able)
    return tuple(sorted(names, key=lambda name: name not in free))


def _by(function: ModuleFunction) -> str:
    return min(name for name in function.calls if registers(name))

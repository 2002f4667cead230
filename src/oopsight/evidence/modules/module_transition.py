"""A module that was being loaded or unloaded, and its init or exit function.

Such a function often leaves no frame: the compiler turns a call at a function's end into a jump.
"""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Memory
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import direct_target
from oopsight.kernel.names import Names
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.text import c_string, printable
from oopsight.walk import MOST_MODULES, each_once

_STATES = {1: "init", 2: "exit"}  # enum module_state: MODULE_STATE_COMING, MODULE_STATE_GOING
_CALLERS = {"init": ("do_init_module", "load_module"), "exit": ("delete_module",)}
_ALIASES = ("init_module", "cleanup_module")
_LARGEST_FUNCTION = 16384
_MOST_JUMPS = 4


@dataclass(frozen=True)
class ModuleTransition:
    """A module on its way in or out, on the crashed task's stack."""

    module: str
    phase: str
    """``init`` or ``exit``."""
    functions: tuple[str, ...]
    """Its init or exit function and those that it ends in a jump to, innermost first."""
    state: Memory


def collect(
    session: Session, backtrace: Backtrace, modules: Modules | Missing
) -> ModuleTransition | Missing:
    """Find the module whose state says so while the system call for it is on the stack."""
    from drgn import FaultError
    from drgn.helpers.linux.module import for_each_module

    names = [frame.function for frame in backtrace.frames]
    phases = [p for p, called in _CALLERS.items() if any(c in n for c in called for n in names)]
    if not phases or isinstance(modules, Missing):
        return Missing(Why.NOT_APPLICABLE, "no module was being loaded or unloaded")
    found = []
    try:
        for module in each_once(for_each_module(session.prog), MOST_MODULES):
            phase = _STATES.get(module.state.value_())
            if phase in phases:
                found.append((module, phase))
    except FaultError as error:
        return Missing(Why.UNREADABLE, str(error))
    if len(found) != 1 or found[0][1] is None:
        return Missing(Why.NOT_APPLICABLE, f"{len(found)} modules are being loaded or unloaded")
    module, phase = found[0]
    functions = _functions(session, module, phase)
    return ModuleTransition(
        printable(c_string(module.name)), phase, functions, memory_of(module, "state")
    )


def _functions(session: Session, module: Any, phase: str) -> tuple[str, ...]:
    """The function and where it jumps to at its end, as long as that is one place."""
    from drgn import FaultError

    names = Names(session.prog)
    found: list[str] = []
    try:
        address = module.member_(phase).value_()
        while address and len(found) < _MOST_JUMPS:
            name, start, size = names.code(address)
            if start is None or start != address or not 0 < size <= _LARGEST_FUNCTION:
                break
            found.append(_own_name(session.prog, address, name))
            function = Function(session.read(start, size), start, names.function_at)
            targets = {
                target
                for i in function.code.values()
                if i.mnemonic == "jmp" and (target := direct_target(i)) not in function.code
            }
            address = next(iter(targets)) if len(targets) == 1 else 0
            if address and names.code(address)[1] != address:
                break
            if address and not _in_same_module(session, module, address):
                break
    except (FaultError, LookupError):
        pass
    return tuple(base_name(name) for name in reversed(found))


def _in_same_module(session: Session, module: Any, address: int) -> bool:
    from drgn.helpers.linux.module import address_to_module

    owner = address_to_module(session.prog, address)
    return bool(owner) and owner.value_() == module.value_()


def _own_name(prog: Any, address: int, name: str) -> str:
    """The function's own name rather than the alias that every module has."""
    if name not in _ALIASES:
        return name
    others = [s.name for s in prog.symbols(address) if s.address == address]
    return next((printable(n) for n in others if n not in _ALIASES), name)

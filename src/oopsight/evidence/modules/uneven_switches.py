"""Who switches on what it has not switched off, where the kernel found it on already.

``if (running) napi_disable(napi); …; napi_enable(napi);``: the next to enable it meets the kernel's
check, or one that the module makes before. Whoever that is need not have done anything wrong.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.hangs.left_off import Search
from oopsight.evidence.hangs.switches import SWITCHES
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions, tables_with
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST = 3
_MOST_TABLE = 4096
_ALONE = "has {switch} called and never switches off, where others that have it called do before"
_PARTLY = "switches off on some ways only, and others that call it go on to call {switch}"
_NEAR = 4
"""Frames from the check outwards that can be the function that switches on."""


@dataclass(frozen=True)
class UnevenSwitches:
    """The module whose call met the check, and its functions that can have left it on."""

    module: str
    switch: str
    """The function of the kernel that switches on."""
    functions: tuple[str, ...]
    why: str = "calls {switch} on all ways, and what switches off before on some only"
    """What these do; ``{switch}`` is for the function of the kernel."""


def collect(
    session: Session, fault: Fault, backtrace: Backtrace, modules: Modules
) -> UnevenSwitches | Missing:
    """Read the code of the module that called what switches on, where that failed its check."""
    nothing = Missing(Why.NOT_APPLICABLE, "no check of what is switched on failed")
    if fault.exception != INVALID_OPCODE:
        return nothing
    names = [base_name(frame.function) for frame in backtrace.crash_path[:_NEAR]]
    switches = {name: kind for kind, (_, on) in SWITCHES.items() for name in on}
    caller = next((frame.module for frame in backtrace.blamable if frame.module), None)
    module = next((one for one in modules.loaded if one.name == caller), None)
    if module is None or not module.taints:
        return nothing
    switch = next((name for name in names if name in switches), None)
    switch = switch or _own_check(session, backtrace, module, switches)
    if switch is None:
        return nothing
    search = Search(session, modules, switches[switch], module)
    partly = search.partly()
    if partly:
        return UnevenSwitches(module.name, switch, partly[:_MOST], _PARTLY)
    found = search.uneven()
    if not found:
        alone = _switching_on_alone(session, backtrace, module, switches[switch])
        if alone is not None:
            return UnevenSwitches(module.name, switch, (alone,), _ALONE)
        return Missing(Why.NOT_APPLICABLE, f"no function of {module.name} does so on some ways")
    return UnevenSwitches(module.name, switch, found[:_MOST])


def _own_check(
    session: Session, backtrace: Backtrace, module: Module, switches: dict[str, str]
) -> str | None:
    """What the function of the module switches on whose own check failed."""
    checking = next((frame for frame in backtrace.crash_path if not frame.inline), None)
    if checking is None or checking.module != module.name:
        return None
    name = base_name(checking.function)
    own = [one for one in inner_functions(session, module) if base_name(one.name) == name]
    called = {base_name(name) for one in own for name in one.outside}
    return next((name for name in switches if name in called), None)


def _switching_on_alone(
    session: Session, backtrace: Backtrace, module: Module, kind: str
) -> str | None:
    """Who had a helper switch on, and never switches off, where others that have it do both.

    Not what stands in a table of functions beside one that only switches off: the kernel calls the
    two in turn.
    """
    off, on = SWITCHES[kind]
    code = {base_name(one.name): one for one in inner_functions(session, module)}
    path = [base_name(f.function) for f in backtrace.blamable if f.module == module.name]
    names = [name for name in dict.fromkeys(path) if name in code]
    if len(names) < 2:
        return None
    helper, caller = names[:2]
    others = [name for name, one in code.items() if name != caller and _calls(one, helper)]
    if not any(_reaches(code, name, off) for name in others) or _reaches(code, caller, off):
        return None
    for table in tables_with(session, module, code[caller].start):
        beside = [name for name, one in code.items() if _holds(session, table, one.start)]
        if any(_reaches(code, name, off) and not _reaches(code, name, on) for name in beside):
            return None
    return caller


def _calls(one: ModuleFunction, helper: str) -> bool:
    return any(base_name(name) == helper for name in one.own)


def _reaches(code: dict[str, ModuleFunction], name: str, wanted: tuple[str, ...]) -> bool:
    """Whether a function calls one of some of the kernel's, itself or by others of its module."""
    waiting, seen = [name], {name}
    while waiting:
        one = code.get(waiting.pop())
        if one is None:
            continue
        if any(base_name(called) in wanted for called in one.outside):
            return True
        onwards = {base_name(called) for called in one.own} - seen
        seen |= onwards
        waiting += onwards
    return False


def _holds(session: Session, table: int, address: int) -> bool:
    """Whether a variable holds an address."""
    from drgn import FaultError

    try:
        data = session.read(table, min(int(session.prog.symbol(table).size), _MOST_TABLE))
    except (FaultError, LookupError):
        return False
    return address.to_bytes(8, "little") in data

"""Who switches on what it has not switched off, where the kernel found it on already.

``if (running) napi_disable(napi); …; napi_enable(napi);``: the next to enable it meets the kernel's
check. Whoever that is need not have done anything wrong.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.hangs.left_off import SWITCHES, Search
from oopsight.evidence.modules.modules import Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST = 3
_NEAR = 4
"""Frames from the check outwards that can be the function that switches on."""


@dataclass(frozen=True)
class UnevenSwitches:
    """The module whose call met the check, and its functions that can have left it on."""

    module: str
    switch: str
    """The function of the kernel that switches on."""
    functions: tuple[str, ...]


def collect(
    session: Session, fault: Fault, backtrace: Backtrace, modules: Modules
) -> UnevenSwitches | Missing:
    """Read the code of the module that called what switches on, where that failed its check."""
    nothing = Missing(Why.NOT_APPLICABLE, "no check of what is switched on failed")
    if fault.exception != INVALID_OPCODE:
        return nothing
    names = [base_name(frame.function) for frame in backtrace.crash_path[:_NEAR]]
    switches = {name: kind for kind, (_, on) in SWITCHES.items() for name in on}
    switch = next((name for name in names if name in switches), None)
    caller = next((frame.module for frame in backtrace.blamable if frame.module), None)
    module = next((one for one in modules.loaded if one.name == caller), None)
    if switch is None or module is None or not module.taints:
        return nothing
    found = Search(session, modules, switches[switch], module).uneven()
    if not found:
        return Missing(Why.NOT_APPLICABLE, f"no function of {module.name} does so on some ways")
    return UnevenSwitches(module.name, switch, found[:_MOST])
